"""Backups of PostgreSQL clusters, new clusters made of them, and who leads a cluster."""

from __future__ import annotations

import grpc
import pytest
from cloud_client import GIB, Failed, refused

Code = grpc.StatusCode
PASSWORD, LATER = "swordfish-swordfish", "another-swordfish"


@pytest.fixture
def subnet(client):
    return client.subnet(client.network(), name="a")


@pytest.fixture
def clusters(client):
    return client.api("mdb.postgresql.v1.Cluster")


@pytest.fixture
def cluster(emulator, client, subnet):
    """A cluster with a user and a database that it was not made with."""
    made = client.cluster(emulator.cloud.get("vpc.v1.Network", subnet.network_id), subnet)
    where = {"cluster_id": made.id}
    client.api("mdb.postgresql.v1.User").Create(**where, user_spec={"name": "app", "password": PASSWORD})
    client.api("mdb.postgresql.v1.Database").Create(**where, database_spec={"name": "shop", "owner": "app"})
    return made


@pytest.fixture
def restored(clusters, client, subnet, cluster):
    """What a restore's request says beside its backup."""
    config = {
        "version": "15",
        "resources": {"resource_preset_id": "s3-c2-m8", "disk_type_id": "network-ssd", "disk_size": 10 * GIB},
    }
    return {
        "folder_id": client.folder,
        "name": "copy",
        "environment": "PRODUCTION",
        "network_id": subnet.network_id,
        "config_spec": config,
        "host_specs": [{"zone_id": subnet.zone_id, "subnet_id": subnet.id}],
    }


def test_a_cluster_has_a_backup_from_the_start_and_gets_more(client, clusters, cluster):
    (first,) = clusters.ListBackups(cluster_id=cluster.id).backups
    assert (first.type, first.status, first.source_cluster_id) == (first.AUTOMATED, first.DONE, cluster.id)
    assert clusters.Backup(cluster_id=cluster.id).status == cluster.RUNNING
    _, second = clusters.ListBackups(cluster_id=cluster.id).backups
    assert second.type == second.MANUAL and second.created_at.ToNanoseconds() > first.created_at.ToNanoseconds()
    backups = client.api("mdb.postgresql.v1.Backup")
    assert [b.id for b in backups.List(folder_id=client.folder).backups] == [first.id, second.id]
    backups.Delete(backup_id=first.id)
    refused(Code.NOT_FOUND, lambda: backups.Get(backup_id=first.id))


def test_a_restored_cluster_has_what_the_backup_has(emulator, client, clusters, cluster, restored, world):
    users, databases = client.api("mdb.postgresql.v1.User"), client.api("mdb.postgresql.v1.Database")
    clusters.Backup(cluster_id=cluster.id)
    backup = clusters.ListBackups(cluster_id=cluster.id).backups[-1]
    users.Create(cluster_id=cluster.id, user_spec={"name": "late", "password": LATER})
    copy = clusters.Restore(**restored, backup_id=backup.id)
    assert copy.status == copy.RUNNING and copy.id != cluster.id
    assert [u.name for u in users.List(cluster_id=copy.id).users] == ["app"]
    assert [d.name for d in databases.List(cluster_id=copy.id).databases] == ["shop"]
    assert emulator.cloud.secret("mdb.postgresql.v1.User", f"{copy.id}/app") == PASSWORD.encode()
    at = world.calls.index("restore_cluster copy as it was")
    assert world.calls.index("put_cluster copy") > at, "its data are there before its server is"


def test_with_a_time_it_has_what_was_written_since(client, clusters, cluster, restored, world):
    users = client.api("mdb.postgresql.v1.User")
    backup = clusters.ListBackups(cluster_id=cluster.id).backups[0]
    early = {"time": {"seconds": 1}, "backup_id": backup.id}
    refused(Code.INVALID_ARGUMENT, lambda: clusters.Restore(**restored, **early), "time: the backup was made")
    users.Create(cluster_id=cluster.id, user_spec={"name": "late", "password": LATER})
    copy = clusters.Restore(**restored, backup_id=backup.id, time={"seconds": 1 << 33})
    assert [u.name for u in users.List(cluster_id=copy.id).users] == ["app", "late"]
    assert "restore_cluster copy live" in world.calls


def test_backups_outlive_their_cluster(client, clusters, cluster, restored):
    clusters.Backup(cluster_id=cluster.id)
    backup = clusters.ListBackups(cluster_id=cluster.id).backups[-1]
    clusters.Delete(cluster_id=cluster.id)
    copy = clusters.Restore(**restored, backup_id=backup.id, time={"seconds": 1 << 33})
    assert [u.name for u in client.api("mdb.postgresql.v1.User").List(cluster_id=copy.id).users] == ["app"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"backup_id": "c9qnothing"}, Code.NOT_FOUND, "Backup c9qnothing"),
        ({"version": "16"}, Code.INVALID_ARGUMENT, "the backup is of version 15"),
        ({"disk_size": 5 * GIB}, Code.INVALID_ARGUMENT, "needs at least"),
        ({"name": "pg"}, Code.ALREADY_EXISTS, "pg"),
    ],
)
def test_what_cannot_be_restored(emulator, clusters, cluster, restored, change, code, words):
    backup = clusters.ListBackups(cluster_id=cluster.id).backups[0].id
    config = restored["config_spec"]
    config["version"] = change.get("version", "15")
    config["resources"]["disk_size"] = change.get("disk_size", 10 * GIB)
    wanted = restored | {n: v for n, v in change.items() if n in ("backup_id", "name")}
    refused(code, lambda: clusters.Restore(**{"backup_id": backup, **wanted}), words)
    assert len(emulator.cloud.all("mdb.postgresql.v1.Cluster")) == 1


def test_a_restore_that_fails_leaves_nothing(emulator, clusters, cluster, restored, world):
    world.broken.add("restore_cluster")
    backup = clusters.ListBackups(cluster_id=cluster.id).backups[0].id
    with pytest.raises(Failed, match="restore_cluster"):
        clusters.Restore(**restored, backup_id=backup)
    assert [c.name for c in emulator.cloud.all("mdb.postgresql.v1.Cluster")] == ["pg"]
    assert len(emulator.cloud.all("mdb.postgresql.v1.User")) == 1


def test_another_host_leads(clusters, cluster, subnet):
    where = {"cluster_id": cluster.id}
    refused(Code.FAILED_PRECONDITION, lambda: clusters.StartFailover(**where), "no replica")
    clusters.AddHosts(**where, host_specs=[{"zone_id": subnet.zone_id, "subnet_id": subnet.id}])
    first, second = clusters.ListHosts(**where).hosts
    refused(Code.FAILED_PRECONDITION, lambda: clusters.StartFailover(**where, host_name=first.name), "no replica of it")
    clusters.StartFailover(**where)
    assert [h.role for h in clusters.ListHosts(**where).hosts] == [first.REPLICA, first.MASTER]
    change = {"host_name": second.name, "assign_public_ip": True, "update_mask": {"paths": ["assign_public_ip"]}}
    clusters.UpdateHosts(**where, update_host_specs=[change])
    assert [h.assign_public_ip for h in clusters.ListHosts(**where).hosts] == [False, True]
    clusters.DeleteHosts(**where, host_names=[first.name])
    assert [h.name for h in clusters.ListHosts(**where).hosts] == [second.name]
