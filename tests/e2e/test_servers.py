"""The real servers behind the managed services, asked by their own clients: PostgreSQL, S3, apt, pip."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from sdk_calls import Caller
from small_vpc import GB, SmallVpc, wait_for

from rehearsal import environment, lifecycle, packages, places, processes, wheelhouse
from rehearsal.world import shell

pytestmark = [pytest.mark.root, pytest.mark.slow]
NAME = "e2eservers"
PLACE = places.Place(NAME)
PASSWORD, OTHER = "a-password-of-the-test-Ä", "another-password-of-the-test"
POSTGRESQL, STORAGE, KEYS = "mdb.postgresql.v1", "storage.v1.BucketService", "iam.v1.awscompatibility.AccessKeyService"


def rehearsal(*words: str) -> None:
    command = [sys.executable, "-m", "rehearsal", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=lifecycle.ROOT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def vpc(tmp_path_factory):
    """A rehearsal of its own with a network and one machine; whatever happens, nothing of it stays."""
    folder = tmp_path_factory.mktemp("servers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGECRAFT_STATE", str(folder / "state"))
        lifecycle.down(PLACE)
        wheelhouse.fill(wheelhouse.locks(lifecycle.ROOT))
        rehearsal("up", NAME)
        try:
            with Caller(environment.netns(NAME), environment.environment(NAME)) as cloud:
                made = SmallVpc(cloud, environment.netns(NAME), folder)
                made.build_network()
                made.build_machine("bastion", "front", made.group_bastion, public=True)
                made.write_ssh_config()
                yield made
        finally:
            lifecycle.down(PLACE)
            assert not lifecycle.leftovers(PLACE)


def visitor_reaches(address: str, port: int) -> bool:
    """Whether somebody in the rehearsal's internet opens a TCP connection."""
    with shell.entered(PLACE.netns("internet")):
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            return False
        return True


# ---- PostgreSQL ----
class Database:
    """A cluster `pg` with the users app and guest, the databases shop and other, and the way to it."""

    def __init__(self, vpc: SmallVpc) -> None:
        self.vpc = vpc
        rule = vpc.rule(1, "TCP", 6432, cidr_blocks={"v4_cidr_blocks": ["10.10.0.0/16"]})
        self.group = vpc.cloud.create(
            "vpc.v1.SecurityGroupService", name="pg", network_id=vpc.network, rule_specs=[rule]
        )["id"]
        cluster = vpc.cloud.create(
            f"{POSTGRESQL}.ClusterService",
            name="pg",
            environment="PRODUCTION",
            network_id=vpc.network,
            security_group_ids=[self.group],
            host_specs=[{"zone_id": "ru-central1-b", "subnet_id": vpc.subnets["back"]}],
            config_spec={
                "version": "15",
                "resources": {"resource_preset_id": "s3-c2-m8", "disk_type_id": "network-ssd", "disk_size": 10 * GB},
                "postgresql_config_15": {"max_connections": {"value": 57}, "work_mem": {"value": 8 << 20}},
            },
            user_specs=[
                {"name": "app", "password": PASSWORD, "permissions": [{"database_name": "shop"}]},
                {"name": "guest", "password": OTHER, "permissions": [{"database_name": "other"}]},
            ],
            database_specs=[
                {"name": "shop", "owner": "app", "extensions": [{"name": "pg_trgm"}]},
                {"name": "other", "owner": "guest"},
            ],
        )
        self.id = cluster["id"]
        self.host = vpc.cloud(f"{POSTGRESQL}.ClusterService.ListHosts", cluster_id=self.id)["hosts"][0]["name"]
        self.address = vpc.ssh("bastion", f"getent hosts {self.host}").stdout.split()[0]

    def ask(self, query: str, user: str = "app", password: str = PASSWORD, **more: str) -> list[tuple]:
        """One statement from inside the network, in a connection of its own, the host's certificate checked."""
        given = {"dbname": "shop", "sslmode": "verify-full", "host": self.host, **more}
        given["sslrootcert"] = str(PLACE.cloud / "ca.pem")
        with (
            shell.entered(PLACE.netns(f"vpc-{self.vpc.network}")),
            psycopg.connect(
                **given,
                hostaddr=self.address,
                port=6432,
                user=user,
                password=password,
                connect_timeout=3,
                autocommit=True,
            ) as connection,
        ):
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def refused(self, query: str = "SELECT 1", **how: str) -> str:
        with pytest.raises(psycopg.Error) as error:
            self.ask(query, **how)
        return str(error.value)

    def container(self) -> str:
        return PLACE.container(self.host.partition(".")[0])


@pytest.fixture(scope="module")
def database(vpc):
    return Database(vpc)


def test_a_user_works_over_tls_with_the_settings_of_the_cluster(database):
    query = (
        "SELECT current_user, current_setting('max_connections'), current_setting('work_mem'), similarity('ab', 'ab')"
    )
    assert database.ask(query) == [("app", "57", "8MB", 1.0)]
    assert database.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
    assert database.ask("SELECT 1", host=f"c-{database.id}.rw.mdb.yandexcloud.net") == [(1,)]


def test_who_must_stay_outside_does(database):
    assert 'password authentication failed for user "app"' in database.refused(password="wrong")
    assert "no encryption" in database.refused(sslmode="disable")
    assert 'rejects connection for host "10.10.1.1", user "postgres"' in database.refused(user="postgres")
    assert "permission denied for database" in database.refused(user="guest", password=OTHER)
    assert "permission denied for database" in database.refused(dbname="postgres")
    assert "does not match host name" in database.refused(host="elsewhere.mdb.yandexcloud.net")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE more",
        "CREATE DATABASE more",
        "CREATE EXTENSION hstore",
        "DROP EXTENSION pg_trgm",
        "ALTER ROLE app SUPERUSER",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_a_user_is_no_superuser(database, statement):
    said = database.refused(statement)
    assert "permission denied" in said or "must be" in said


def test_the_api_changes_settings_extensions_passwords_and_permissions(vpc, database):
    cloud, cluster = vpc.cloud, {"cluster_id": database.id}
    settings = {
        "postgresql_config_15": {"max_connections": {"value": 61}, "auto_explain_log_min_duration": {"value": 9}}
    }
    mask = {"paths": [f"config_spec.postgresql_config_15.{name}" for name in settings["postgresql_config_15"]]}
    cloud(f"{POSTGRESQL}.ClusterService.Update", **cluster, config_spec=settings, update_mask=mask)
    assert database.ask("SELECT current_setting('max_connections')") == [("61",)]

    extensions = {"extensions": [{"name": "hstore"}], "update_mask": {"paths": ["extensions"]}}
    cloud(f"{POSTGRESQL}.DatabaseService.Update", **cluster, database_name="shop", **extensions)
    assert database.ask("SELECT 'a=>1'::hstore -> 'a'") == [("1",)]
    assert "does not exist" in database.refused("SELECT similarity('a', 'a')")

    change = {"user_name": "guest", "password": "a-new-password", "update_mask": {"paths": ["password"]}}
    cloud(f"{POSTGRESQL}.UserService.Update", **cluster, **change)
    assert "password authentication failed" in database.refused(user="guest", password=OTHER, dbname="other")
    assert database.ask("SELECT 1", user="guest", password="a-new-password", dbname="other") == [(1,)]

    permit = {"user_name": "guest", "permission": {"database_name": "shop"}}
    cloud(f"{POSTGRESQL}.UserService.GrantPermission", **cluster, **permit)
    assert database.ask("SELECT 1", user="guest", password="a-new-password") == [(1,)]
    cloud(f"{POSTGRESQL}.UserService.RevokePermission", **cluster, user_name="guest", database_name="shop")
    assert "permission denied for database" in database.refused(user="guest", password="a-new-password")


def test_what_the_server_refuses_fails_the_operation_and_changes_nothing(vpc, database):
    update = f"{POSTGRESQL}.ClusterService.Update"
    refused = {
        "outside the valid range": {"max_connections": {"value": 10**9}},
        "does not start with these settings": {"shared_buffers": {"value": 1 << 42}},
    }
    for words, settings in refused.items():
        request = {"config_spec": {"postgresql_config_15": settings}, "cluster_id": database.id}
        mask = {"paths": [f"config_spec.postgresql_config_15.{name}" for name in settings]}
        with pytest.raises(RuntimeError, match=words):
            vpc.cloud(update, **request, update_mask=mask)
    assert database.ask("SELECT current_setting('max_connections')") == [("61",)]
    more = {"host_specs": [{"zone_id": "ru-central1-b", "subnet_id": vpc.subnets["back"]}]}
    with pytest.raises(RuntimeError, match="clusters of one host; it has 2"):
        vpc.cloud(f"{POSTGRESQL}.ClusterService.AddHosts", cluster_id=database.id, **more)
    assert database.ask("SELECT 1") == [(1,)]


def test_rows_survive_a_crash_and_a_stop_and_start(vpc, database):
    database.ask("CREATE TABLE kept AS SELECT 1 AS row")
    os.kill(int(shell.podman("inspect", "--format", "{{.State.Pid}}", database.container())), signal.SIGKILL)

    def rows() -> list[tuple]:
        try:
            return database.ask("SELECT row FROM kept")
        except psycopg.OperationalError:
            return []

    assert wait_for("the crashed server", rows, 20) == [(1,)]
    vpc.cloud(f"{POSTGRESQL}.ClusterService.Stop", cluster_id=database.id)
    assert not rows()
    vpc.cloud(f"{POSTGRESQL}.ClusterService.Start", cluster_id=database.id)
    assert rows() == [(1,)]


def test_the_security_group_is_the_only_way_in(vpc, database):
    assert vpc.reaches("bastion", database.address, 6432)
    assert not visitor_reaches(database.address, 6432)
    rules = [rule["id"] for rule in vpc.rules(database.group)]
    vpc.cloud("vpc.v1.SecurityGroupService.UpdateRules", security_group_id=database.group, deletion_rule_ids=rules)
    assert not vpc.reaches("bastion", database.address, 6432)
    again = vpc.rule(1, "TCP", 6432, cidr_blocks={"v4_cidr_blocks": ["10.10.0.0/16"]})
    vpc.cloud("vpc.v1.SecurityGroupService.UpdateRules", security_group_id=database.group, addition_rule_specs=[again])
    assert vpc.reaches("bastion", database.address, 6432)


def test_no_password_is_in_a_log(database):
    logs = shell.run("sh", "-c", 'podman logs "$1" 2>&1', "sh", database.container())
    logs += "".join(path.read_text() for path in (PLACE.folder / "logs").glob("*.log"))
    logs += (PLACE.cloud / "journal.jsonl").read_text()
    assert "ready to accept connections" in logs
    assert not [secret for secret in (PASSWORD, OTHER, "SCRAM-SHA-256$") if secret in logs]


# ---- Object Storage ----
class Bucket:
    """The bucket `models` with versions, a service account that may change objects, and its key."""

    def __init__(self, vpc: SmallVpc) -> None:
        self.vpc = vpc
        self.account = vpc.cloud.create("iam.v1.ServiceAccountService", name="models")["id"]
        self.bind("ADD")
        rule = {"id": {"value": "old"}, "enabled": True, "noncurrent_expiration": {"noncurrent_days": {"value": 30}}}
        vpc.cloud.create(STORAGE, name="models")
        vpc.cloud(
            f"{STORAGE}.Update",
            name="models",
            versioning="VERSIONING_ENABLED",
            lifecycle_rules=[rule],
            update_mask={"paths": ["versioning", "lifecycle_rules"]},
        )
        self.key = self.new_key()

    def bind(self, action: str) -> None:
        subject = {"id": self.account, "type": "serviceAccount"}
        delta = {"action": action, "access_binding": {"role_id": "storage.editor", "subject": subject}}
        change = {"resource_id": self.vpc.cloud.folder, "access_binding_deltas": [delta]}
        self.vpc.cloud("resourcemanager.v1.FolderService.UpdateAccessBindings", **change)

    def new_key(self) -> tuple[str, str, str]:
        made = self.vpc.cloud(f"{KEYS}.Create", service_account_id=self.account)
        return made["access_key"]["key_id"], made["secret"], made["access_key"]["id"]

    def call(self, operation: str, /, key: tuple[str, ...] = (), **arguments: object) -> dict:
        """One S3 call with a key (the bucket's own by default), from the rehearsal's internet."""
        key_id, secret, *_ = key or self.key
        with shell.entered(PLACE.netns("internet")):
            client = boto3.session.Session().client(
                "s3",
                endpoint_url=environment.environment(NAME)["YC_STORAGE_ENDPOINT"],
                verify=environment.environment(NAME)["AWS_CA_BUNDLE"],
                region_name="ru-central1",
                aws_access_key_id=key_id,
                aws_secret_access_key=secret,
                config=Config(retries={"max_attempts": 1}, connect_timeout=3, s3={"addressing_style": "path"}),
            )
            return getattr(client, operation)(**{"Bucket": "models", **arguments})

    def refused(self, operation: str, /, **arguments: object) -> str:
        with pytest.raises(ClientError) as error:
            self.call(operation, **arguments)
        return error.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def bucket(vpc):
    return Bucket(vpc)


def test_objects_and_their_versions(bucket):
    for content in (b"one", b"two"):
        bucket.call("put_object", Key="digits/1/model.onnx", Body=content)
    assert bucket.call("get_object", Key="digits/1/model.onnx")["Body"].read() == b"two"
    versions = bucket.call("list_object_versions")["Versions"]
    old = next(version["VersionId"] for version in versions if not version["IsLatest"])
    assert bucket.call("get_object", Key="digits/1/model.onnx", VersionId=old)["Body"].read() == b"one"
    rules = bucket.call("get_bucket_lifecycle_configuration")["Rules"]
    assert [(rule["ID"], rule["NoncurrentVersionExpiration"]) for rule in rules] == [("old", {"NoncurrentDays": 30})]


def test_wrong_keys_are_refused_and_buckets_are_the_api_s(bucket):
    key_id, secret, _ = bucket.key
    assert bucket.refused("list_objects_v2", key=(key_id, f"{secret}x")) == "SignatureDoesNotMatch"
    assert bucket.refused("list_objects_v2", key=("YCAJEnobody", secret)) == "InvalidAccessKeyId"
    assert bucket.refused("create_bucket", Bucket="another") == "AccessDenied"
    assert bucket.refused("delete_bucket") == "AccessDenied"


def test_a_deleted_key_is_refused_at_once_and_another_still_works(bucket):
    second = bucket.new_key()
    assert bucket.call("list_objects_v2", key=second)["KeyCount"] == 1
    bucket.vpc.cloud(f"{KEYS}.Delete", access_key_id=second[2])
    assert bucket.refused("list_objects_v2", key=second) == "InvalidAccessKeyId"
    assert bucket.call("list_objects_v2")["KeyCount"] == 1


def test_keys_may_what_their_account_s_roles_say(bucket):
    bucket.bind("REMOVE")
    wait_for("the role's end", lambda: bucket.refused("list_objects_v2") == "AccessDenied", 1)
    bucket.bind("ADD")
    assert bucket.call("list_objects_v2")["KeyCount"] == 1


def test_objects_and_keys_survive_a_killed_server(bucket):
    os.kill(processes.running(PLACE, "storage"), signal.SIGKILL)
    wait_for("the end of the server", lambda: not processes.running(PLACE, "storage"), 5)
    rehearsal("up", NAME)
    assert bucket.call("get_object", Key="digits/1/model.onnx")["Body"].read() == b"two"


def test_the_server_s_own_ports_are_closed_to_the_rehearsal(vpc):
    listening = shell.inside(PLACE.netns("internet"), "ss", "-Hltn").splitlines()
    ports = {line.split()[3].rpartition(":")[2] for line in listening if f"{places.STORAGE}:" in line}
    assert ports > {"443"}, "it listens for its own administration, too"
    assert [port for port in sorted(ports) if visitor_reaches(str(places.STORAGE), int(port))] == ["443"]


def test_a_bucket_goes_only_when_it_is_empty(vpc, bucket):
    bucket.call("delete_object", Key="digits/1/model.onnx")
    with pytest.raises(RuntimeError, match="not empty"):
        vpc.cloud(f"{STORAGE}.Delete", name="models")
    listed = bucket.call("list_object_versions")
    for item in listed["Versions"] + listed["DeleteMarkers"]:
        bucket.call("delete_object", Key=item["Key"], VersionId=item["VersionId"])
    vpc.cloud(f"{STORAGE}.Delete", name="models")
    assert bucket.refused("list_objects_v2") == "NoSuchBucket"


# ---- packages ----
def test_pip_installs_what_is_locked_from_the_wheelhouse(vpc):
    lock = (lifecycle.ROOT / "apps/inference_api/requirements.lock").read_text()
    begin = lock.index("click==")
    pinned = lock[begin : lock.index("\n    # via", begin)]
    vpc.ssh("bastion", f"cat > click.lock <<'END'\n{pinned}\nEND")
    options = f"--no-index --find-links http://{places.WHEELS}/ --trusted-host {places.WHEELS}"
    said = vpc.ssh("bastion", f"python3 -m venv venv && venv/bin/pip install {options} --require-hashes -r click.lock")
    assert "Successfully installed click" in said.stdout
    forged = re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", pinned)
    vpc.ssh("bastion", f"cat > forged.lock <<'END'\n{forged}\nEND")
    again = f"venv/bin/pip install --force-reinstall {options} --require-hashes -r forged.lock"
    assert vpc.ssh("bastion", again, check=False).returncode != 0


def test_the_apt_cache_leads_to_debian_and_nowhere_else(vpc):
    proxy = f"http://{places.PACKAGES}:{places.PACKAGES_PORT}"  # curl would take 1080
    fetch = f"curl -s -o /dev/null -w '%{{http_code}}' -x {proxy}"
    own = packages.sources()[0]
    assert vpc.ssh("bastion", f"{fetch} {own}/dists/bookworm/InRelease").stdout == "200"
    assert vpc.ssh("bastion", f"{fetch} http://192.0.2.1/debian/dists/bookworm/InRelease").stdout == "403"
    begin = time.monotonic()
    options = f"-o Acquire::http::Proxy={proxy}"
    install = f"sudo sh -c 'apt-get {options} update -q && apt-get {options} install -q -y hello' && hello"
    assert "Hello, world!" in vpc.ssh("bastion", install).stdout
    assert time.monotonic() - begin < 120


def test_two_rehearsals_share_one_apt_cache(vpc):
    """The second uses the first one's, and takes over when that ends."""
    other = places.Place("e2eother")
    port = packages.targets(PLACE)["apt"]
    try:
        packages.start(other)
        assert packages.targets(other)["apt"] == port
        packages.stop(PLACE)
        wait_for("the other rehearsal's cache", lambda: _status(packages.targets(other)["apt"]) == 406, 10)
    finally:
        lifecycle.down(other)
        rehearsal("up", NAME)
    assert _status(packages.targets(PLACE)["apt"]) == 406


def _status(target: tuple[str, int]) -> int:
    """The HTTP status of the proxy's own front page: 406 is apt-cacher-ng's answer to a request for no package."""
    try:
        with urllib.request.urlopen(f"http://{target[0]}:{target[1]}/", timeout=3) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_nothing_stays_of_a_deleted_cluster(vpc, database):
    vpc.cloud(f"{POSTGRESQL}.ClusterService.Delete", cluster_id=database.id)
    listed = shell.podman("ps", "--all", "--format", "{{.Names}}").split()
    assert database.container() not in listed
    assert database.container() not in shell.namespaces()
    assert not list(Path(PLACE.folder, "databases").iterdir())
    assert vpc.ssh("bastion", f"getent hosts {database.host}", check=False).returncode != 0
