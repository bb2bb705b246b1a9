"""Lockbox, Object Storage, keys and Managed PostgreSQL."""

from __future__ import annotations

import string

import grpc
import pytest
from cloud_client import GIB, refused

Code = grpc.StatusCode
PASSWORD = "swordfish-swordfish"


@pytest.fixture
def subnet(client):
    return client.subnet(client.network(), name="a")


@pytest.fixture
def cluster(emulator, client, subnet):
    return client.cluster(emulator.cloud.get("vpc.v1.Network", subnet.network_id), subnet)


def test_secrets_have_versions(client):
    secrets, payloads = client.api("lockbox.v1.Secret"), client.api("lockbox.v1.Payload")
    entries = [{"key": "password", "text_value": "one"}, {"key": "blob", "binary_value": b"\x00\xff"}]
    secret = secrets.Create(folder_id=client.folder, name="db", version_payload_entries=entries)
    assert list(secret.current_version.payload_entry_keys) == ["blob", "password"]
    version = secrets.AddVersion(
        secret_id=secret.id,
        base_version_id=secret.current_version.id,
        payload_entries=[{"key": "password", "text_value": "two"}],
    )
    read = {e.key: e.text_value or e.binary_value for e in payloads.Get(secret_id=secret.id).entries}
    assert read == {"password": "two", "blob": b"\x00\xff"}
    old = payloads.Get(secret_id=secret.id, version_id=secret.current_version.id)
    assert {e.key: e.text_value for e in old.entries}["password"] == "one"
    named = payloads.GetEx(folder_and_name={"folder_id": client.folder, "secret_name": "db"})
    assert named.version_id == version.id and named.entries["password"] == b"two"
    assert [v.id for v in secrets.ListVersions(secret_id=secret.id).versions] == [secret.current_version.id, version.id]
    secrets.SetCurrentVersion(secret_id=secret.id, version_id=secret.current_version.id)
    assert payloads.Get(secret_id=secret.id).version_id == secret.current_version.id
    secrets.Deactivate(secret_id=secret.id)
    refused(Code.FAILED_PRECONDITION, lambda: payloads.Get(secret_id=secret.id), "not active")
    refused(Code.NOT_FOUND, lambda: payloads.Get(secret_id="e6qnothing"))


def test_passwords_are_generated_as_specified(client):
    secrets, payloads = client.api("lockbox.v1.Secret"), client.api("lockbox.v1.Payload")
    spec = {"password_key": "p", "length": 24, "include_punctuation": {"value": False}}
    secret = secrets.Create(folder_id=client.folder, name="g", password_payload_specification=spec)
    first = payloads.Get(secret_id=secret.id).entries[0].text_value
    assert len(first) == 24 and set(first) <= set(string.ascii_letters + string.digits)
    assert any(c.isdigit() for c in first) and any(c.isupper() for c in first) and any(c.islower() for c in first)
    secrets.AddVersion(secret_id=secret.id)
    assert payloads.Get(secret_id=secret.id).entries[0].text_value != first
    odd = {"password_key": "p", "length": 5, "included_punctuation": "!"}
    odd |= {f"include_{kind}": {"value": False} for kind in ("uppercase", "lowercase", "digits")}
    secret = secrets.Create(folder_id=client.folder, name="o", password_payload_specification=odd)
    assert payloads.Get(secret_id=secret.id).entries[0].text_value == "!!!!!"


def test_deletion_protection_and_what_a_secret_leaves(emulator, client):
    secrets = client.api("lockbox.v1.Secret")
    entry = [{"key": "a", "text_value": "b"}]
    secret = secrets.Create(folder_id=client.folder, name="s", deletion_protection=True, version_payload_entries=entry)
    refused(Code.FAILED_PRECONDITION, lambda: secrets.Delete(secret_id=secret.id), "deletion protection")
    secrets.Update(secret_id=secret.id, deletion_protection=False, mask="deletion_protection")
    assert secrets.Delete(secret_id=secret.id).id == secret.id
    assert not emulator.cloud.all("lockbox.v1.Version") and not emulator.cloud.store.query("SELECT * FROM secrets")


def test_buckets(client, world):
    buckets = client.api("storage.v1.Bucket")
    tag = {"key": "stage", "value": "partners"}
    bucket = buckets.Create(folder_id=client.folder, name="partners-models", max_size=GIB, tags=[tag])
    assert bucket.id == bucket.name and not buckets.Get(name=bucket.name).tags
    assert buckets.Get(name=bucket.name, view="VIEW_FULL").tags[0].value == "partners"
    refused(Code.ALREADY_EXISTS, lambda: buckets.Create(folder_id=client.folder, name=bucket.name))
    refused(Code.INVALID_ARGUMENT, lambda: buckets.Create(folder_id=client.folder, name="No_Bucket"))
    assert buckets.Update(name=bucket.name, max_size=2 * GIB, mask="max_size").max_size == 2 * GIB
    world.full_buckets.add(bucket.name)
    error = refused(Code.FAILED_PRECONDITION, lambda: buckets.Delete(name=bucket.name), "not empty")
    assert error.operation and buckets.Get(name=bucket.name).name == bucket.name
    world.full_buckets.clear()
    buckets.Delete(name=bucket.name)
    refused(Code.NOT_FOUND, lambda: buckets.Get(name=bucket.name))


def test_static_keys_reach_the_world(emulator, client, world):
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="robot")
    keys = client.api("iam.v1.awscompatibility.AccessKey")
    made = keys.Create(service_account_id=account.id)
    assert f"put_access_key {made.secret}" in world.calls
    assert emulator.cloud.secret("iam.v1.awscompatibility.AccessKey", made.access_key.id) == made.secret.encode()
    assert [k.key_id for k in keys.List(service_account_id=account.id).access_keys] == [made.access_key.key_id]
    keys.Delete(access_key_id=made.access_key.id)
    assert not keys.List(service_account_id=account.id).access_keys
    world.broken.add("put_access_key")
    refused(Code.INTERNAL, lambda: keys.Create(service_account_id=account.id), "cannot be done")
    assert not keys.List(service_account_id=account.id).access_keys


def test_a_cluster_has_hosts_with_names_and_addresses(emulator, client, cluster, world):
    clusters = client.api("mdb.postgresql.v1.Cluster")
    (host,) = clusters.ListHosts(cluster_id=cluster.id).hosts
    assert host.name.startswith("rc1a-") and host.name.endswith(".mdb.yandexcloud.net") and host.role == host.MASTER
    assert emulator.cloud.facts("mdb.postgresql.v1.Host", host.name) == {"address": "10.1.0.3"}
    assert cluster.status == cluster.RUNNING and world.calls[-2:] == ["sync_network", "put_cluster pg"]
    zone = host.zone_id
    clusters.AddHosts(cluster_id=cluster.id, host_specs=[{"zone_id": zone, "subnet_id": host.subnet_id}])
    replica = clusters.ListHosts(cluster_id=cluster.id).hosts[1]
    assert replica.role == replica.REPLICA
    refused(
        Code.FAILED_PRECONDITION,
        lambda: clusters.DeleteHosts(cluster_id=cluster.id, host_names=[host.name]),
        "master",
    )
    clusters.DeleteHosts(cluster_id=cluster.id, host_names=[replica.name])
    assert [h.name for h in clusters.ListHosts(cluster_id=cluster.id).hosts] == [host.name]
    refused(Code.FAILED_PRECONDITION, lambda: client.api("vpc.v1.Subnet").Delete(subnet_id=host.subnet_id), "in use")
    clusters.Delete(cluster_id=cluster.id)
    assert not emulator.cloud.all("mdb.postgresql.v1.Host")


def test_settings_of_a_cluster(client, cluster):
    clusters = client.api("mdb.postgresql.v1.Cluster")
    path = "config_spec.postgresql_config_15.max_connections"
    wanted = {"postgresql_config_15": {"max_connections": {"value": 300}}}
    changed = clusters.Update(cluster_id=cluster.id, config_spec=wanted, mask=path)
    config = changed.config
    assert config.postgresql_config_15.user_config.max_connections.value == 300
    assert config.postgresql_config_15.effective_config.max_connections.value == 300
    assert config.resources == cluster.config.resources and config.version == "15"
    again = {"cluster_id": cluster.id, "config_spec": wanted, "mask": path}
    refused(Code.FAILED_PRECONDITION, lambda: clusters.Update(**again), "no changes detected")
    other = {"postgresql_config_16": {"max_connections": {"value": 300}}}
    mask = "config_spec.postgresql_config_16"
    refused(Code.INVALID_ARGUMENT, lambda: clusters.Update(cluster_id=cluster.id, config_spec=other, mask=mask), "15")
    smaller, mask = {"resources": {"disk_size": GIB}}, "config_spec.resources.disk_size"
    refused(Code.INVALID_ARGUMENT, lambda: clusters.Update(cluster_id=cluster.id, config_spec=smaller, mask=mask))


def test_users_and_databases(emulator, client, cluster, world):
    users, databases = client.api("mdb.postgresql.v1.User"), client.api("mdb.postgresql.v1.Database")
    where = {"cluster_id": cluster.id}
    refused(
        Code.NOT_FOUND, lambda: databases.Create(**where, database_spec={"name": "app", "owner": "app"}), "User app"
    )
    user = users.Create(**where, user_spec={"name": "app", "password": PASSWORD})
    assert (user.conn_limit, user.login.value, world.passwords) == (50, True, {"app": PASSWORD})
    databases.Create(**where, database_spec={"name": "app", "owner": "app", "extensions": [{"name": "pg_trgm"}]})
    permitted = users.GrantPermission(**where, user_name="app", permission={"database_name": "app"})
    assert [p.database_name for p in permitted.permissions] == ["app"]
    refused(Code.FAILED_PRECONDITION, lambda: users.Delete(**where, user_name="app"), "owns database app")
    same = {"permissions": [{"database_name": "app"}], "mask": "permissions"}
    refused(Code.FAILED_PRECONDITION, lambda: users.Update(**where, user_name="app", **same), "no changes detected")
    users.Update(**where, user_name="app", password="another-password", mask="password")
    assert world.passwords == {"app": "another-password"}
    refused(Code.INVALID_ARGUMENT, lambda: users.Update(**where, user_name="app", password="short", mask="password"))
    refused(Code.ALREADY_EXISTS, lambda: users.Create(**where, user_spec={"name": "app", "password": PASSWORD}))
    databases.Delete(**where, database_name="app")
    assert not users.Get(**where, user_name="app").permissions
    users.Delete(**where, user_name="app")
    assert not users.List(**where).users and not databases.List(**where).databases
    assert PASSWORD not in str(emulator.cloud.all("mdb.postgresql.v1.User"))


def test_a_cluster_can_bring_users_and_databases(emulator, client, subnet, world):
    network = emulator.cloud.get("vpc.v1.Network", subnet.network_id)
    user = {"name": "app", "password": PASSWORD, "permissions": [{"database_name": "app"}]}
    client.cluster(network, subnet, user_specs=[user], database_specs=[{"name": "app", "owner": "app"}])
    assert world.calls[-4:] == ["put_cluster pg", "put_user app", "put_database app", "put_user app"]


def test_one_operation_at_a_time_in_a_cluster(client, cluster, world):
    users = client.api("mdb.postgresql.v1.User")
    world.gate.clear()
    first = users.start("Create", cluster_id=cluster.id, user_spec={"name": "one", "password": PASSWORD})
    second = {"cluster_id": cluster.id, "user_spec": {"name": "two", "password": PASSWORD}}
    refused(Code.FAILED_PRECONDITION, lambda: users.Create(**second), f"Conflicting operation {first.id} detected")
    world.gate.set()
    assert client.result(first, users.methods["Get"].output_type).name == "one"
    assert users.Create(**second).name == "two"


def test_a_cluster_stops_and_starts(client, cluster):
    clusters = client.api("mdb.postgresql.v1.Cluster")
    assert clusters.Stop(cluster_id=cluster.id).status == cluster.STOPPED
    refused(Code.FAILED_PRECONDITION, lambda: clusters.Stop(cluster_id=cluster.id), "STOPPED")
    assert clusters.Start(cluster_id=cluster.id).status == cluster.RUNNING


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"config_spec": {"version": "9", "resources": {"resource_preset_id": "s3-c2-m8"}}}, "version"),
        ({"host_specs": [{"zone_id": "ru-central1-b"}]}, "ru-central1-b"),
        ({"environment": 0}, "environment"),
        ({"user_specs": [{"name": "app", "password": "short"}]}, "password"),
    ],
)
def test_clusters_that_cannot_be(emulator, client, subnet, values, words):
    network = emulator.cloud.get("vpc.v1.Network", subnet.network_id)
    refused(Code.INVALID_ARGUMENT, lambda: client.cluster(network, subnet, **values), words)
    assert not emulator.cloud.all("mdb.postgresql.v1.Cluster") and not emulator.cloud.all("mdb.postgresql.v1.Host")
