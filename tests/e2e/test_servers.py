"""The real servers behind the managed services, asked by their own clients: PostgreSQL, S3, apt, pip."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psycopg
import pytest
from server_clients import (
    KEYS,
    NAME,
    OTHER,
    PASSWORD,
    PLACE,
    POSTGRESQL,
    STORAGE,
    Bucket,
    Database,
    http_status,
    rehearsal,
    rehearsed,
    visitor_reaches,
)
from waiting import wait_for

from rehearsal import lifecycle, packages, places, processes
from rehearsal.world import shell

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def vpc(tmp_path_factory):
    with rehearsed(PLACE, tmp_path_factory.mktemp("servers")) as made:
        yield made


# ---- PostgreSQL ----
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


def test_grants_of_a_bucket_let_in_an_account_without_a_role_and_everybody(vpc, bucket):
    def grant(*grants: dict) -> None:
        vpc.cloud(f"{STORAGE}.Update", name="models", acl={"grants": list(grants)}, update_mask={"paths": ["acl"]})

    reading = {"permission": "PERMISSION_READ", "grant_type": "GRANT_TYPE_ACCOUNT", "grantee_id": bucket.account}
    bucket.bind("REMOVE")
    try:
        wait_for("the role's end", lambda: bucket.refused("list_objects_v2") == "AccessDenied", 1)
        grant(reading)
        wait_for("the grant", lambda: bucket.may("list_objects_v2"), 2)
        assert not bucket.may("put_object", Key="digits/more", Body=b"x") and bucket.anonymous() == 403
        grant({"permission": "PERMISSION_READ", "grant_type": "GRANT_TYPE_ALL_USERS"})
        wait_for("the grant to everybody", lambda: bucket.anonymous() == 200, 2)
        grant()
        wait_for("its end", lambda: bucket.anonymous() == 403 and not bucket.may("list_objects_v2"), 2)
    finally:
        bucket.bind("ADD")


def test_objects_and_keys_survive_a_killed_server(bucket):
    os.kill(processes.running(PLACE, "storage"), signal.SIGKILL)
    wait_for("the end of the server", lambda: not processes.running(PLACE, "storage"), 5)
    rehearsal("up", NAME)
    wait_for("the object", lambda: bucket.read("digits/1/model.onnx") == b"two", 30)


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
    options = f"-o Acquire::http::Proxy={proxy}"
    install = f"sudo sh -c 'apt-get {options} update -q && apt-get {options} install -q -y hello' && hello"
    assert "Hello, world!" in vpc.ssh("bastion", install).stdout


def test_two_rehearsals_share_one_apt_cache(vpc):
    """The second uses the first one's, and takes over when that ends."""
    other = places.Place("e2eother")
    port = packages.targets(PLACE)["apt"]
    try:
        packages.start(other)
        assert packages.targets(other)["apt"] == port
        packages.stop(PLACE)
        wait_for("the other rehearsal's cache", lambda: http_status(packages.targets(other)["apt"]) == 406, 10)
    finally:
        lifecycle.down(other)
        rehearsal("up", NAME)
    assert http_status(packages.targets(PLACE)["apt"]) == 406


def test_nothing_stays_of_a_deleted_cluster(vpc, database):
    vpc.cloud(f"{POSTGRESQL}.ClusterService.Delete", cluster_id=database.id)
    listed = shell.podman("ps", "--all", "--format", "{{.Names}}").split()
    assert database.container() not in listed
    assert database.container() not in shell.namespaces()
    assert not list(Path(PLACE.folder, "databases").iterdir())
    assert vpc.ssh("bastion", f"getent hosts {database.host}", check=False).returncode != 0
