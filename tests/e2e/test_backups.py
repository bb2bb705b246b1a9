"""Real rows through backups, restores to new clusters, followers and a change of the leader."""

from __future__ import annotations

import json
import sys

import commands
import psycopg
import pytest
from server_clients import POSTGRESQL, Database, Server, rehearsed
from waiting import wait_for

from rehearsal import places

pytestmark = [pytest.mark.root, pytest.mark.slow]
PLACE = places.Place("e2ebackups")
CLUSTERS = f"{POSTGRESQL}.ClusterService"
DIGEST = "SELECT count(*), md5(string_agg(n || text, ',' ORDER BY n)) FROM sold"


@pytest.fixture(scope="module")
def vpc(tmp_path_factory):
    with rehearsed(PLACE, tmp_path_factory.mktemp("backups")) as made:
        yield made


@pytest.fixture(scope="module")
def database(vpc):
    """A cluster with a thousand rows, a backup of them, and one row more."""
    made = Database(vpc, PLACE)
    made.ask("CREATE TABLE sold AS SELECT n, md5(n::text) AS text FROM generate_series(1, 1000) AS n")
    made.at_backup = made.ask(DIGEST)
    vpc.cloud(f"{CLUSTERS}.Backup", cluster_id=made.id)
    made.ask("INSERT INTO sold VALUES (1001, 'after the backup')")
    return made


def restore(vpc, name: str, **restore_from: object) -> Server:
    """A cluster that is declared to begin as another one was."""
    declared = {
        "name": name,
        "network": "main",
        "version": "15",
        "preset": "s3-c2-m8",
        "disk_size": "10GB",
        "security_groups": ["pg"],
        "hosts": [{"zone": "ru-central1-b", "subnet": "back"}],
        "restore_from": restore_from,
    }
    made = commands.inside(
        PLACE.name,
        *(sys.executable, "-m", "ansible", "adhoc", "-i", "localhost,", "-c", "local", "localhost"),
        *("-e", f"ansible_python_interpreter={sys.executable}"),
        *("-m", "stagecraft.platform.yc_postgresql_cluster", "-a", json.dumps(declared)),
    )
    assert made.returncode == 0, made.stdout + made.stderr
    clusters = vpc.cloud(f"{CLUSTERS}.List", folder_id=vpc.cloud.folder)["clusters"]
    return Server(vpc, PLACE, next(cluster["id"] for cluster in clusters if cluster["name"] == name))


def test_a_backup_brings_back_the_rows_that_were_there_then(vpc, database):
    backups = vpc.cloud(f"{CLUSTERS}.ListBackups", cluster_id=database.id)["backups"]
    copy = restore(vpc, "then", backup=backups[-1]["id"])
    assert copy.host != database.host and copy.ask(DIGEST) == database.at_backup
    copy.ask("DELETE FROM sold WHERE n > 500")
    assert database.ask("SELECT count(*) FROM sold") == [(1001,)], "they are two clusters now"


def test_a_copy_of_a_cluster_has_what_was_written_since_its_backup_too(vpc, database):
    assert restore(vpc, "now", cluster="pg").ask(DIGEST) == database.ask(DIGEST)


def test_a_follower_has_the_rows_takes_no_writes_and_takes_over(vpc, database):
    where = {"cluster_id": database.id}
    spec = {"zone_id": "ru-central1-a", "subnet_id": vpc.subnets["front"]}
    vpc.cloud(f"{CLUSTERS}.AddHosts", **where, host_specs=[spec])
    name = vpc.cloud(f"{CLUSTERS}.ListHosts", **where)["hosts"][1]["name"]
    follower = Server(vpc, PLACE, database.id, name)
    database.ask("INSERT INTO sold VALUES (1002, 'while it follows')")
    wait_for("the row at the follower", lambda: follower.ask(DIGEST) == database.ask(DIGEST), 20)
    assert "read-only transaction" in follower.refused("INSERT INTO sold VALUES (0, '')")
    assert address(vpc, database, "rw") == database.address and address(vpc, database, "ro") == follower.address
    rows = database.ask(DIGEST)
    vpc.cloud(f"{CLUSTERS}.StartFailover", **where, host_name=name)
    assert follower.ask(DIGEST) == rows and address(vpc, database, "rw") == follower.address
    follower.ask("INSERT INTO sold VALUES (1003, 'by the new leader')")
    wait_for("the row at the old leader", lambda: database.ask(DIGEST) == follower.ask(DIGEST), 20)
    vpc.cloud(f"{CLUSTERS}.DeleteHosts", **where, host_names=[database.host])
    with pytest.raises(psycopg.OperationalError):
        database.ask("SELECT 1")
    assert follower.ask("SELECT count(*) FROM sold") == [(1003,)]


def address(vpc, database: Database, kind: str) -> str:
    """Where the cluster's own name for writing or reading leads, asked by a machine."""
    return vpc.ssh("bastion", f"getent hosts c-{database.id}.{kind}.mdb.yandexcloud.net").stdout.split()[0]
