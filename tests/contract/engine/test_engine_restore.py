"""A new cluster that begins as another one was, by declaration."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.resources.yandex_postgresql import host_to_write_to
from engine_runs import case

KIND = "postgresql_cluster"


@pytest.fixture
def source(engine):
    """A cluster with a user, and what it needs; clusters that a test makes of it are called copy and second."""
    declared = [
        *case(KIND)["needs"],
        {KIND: case(KIND)["create"]},
        {"postgresql_user": {"cluster": "pg", "name": "app", "password": "long-enough-1"}},
    ]
    engine.build(declared)
    yield case(KIND)["create"]
    engine.demolish([{KIND: {"name": name}} for name in ("copy", "second")])
    engine.demolish(declared)


def users(engine, cluster: str) -> list[str]:
    ident = engine.apply(KIND, {"name": cluster}, state="info")["cluster"]["id"]
    return [u.name for u in engine.session.pages("mdb.postgresql.v1.UserService", cluster_id=ident)]


def test_a_cluster_from_the_newest_backup_of_another(engine, source):
    copy = {**source, "name": "copy", "restore_from": {"cluster": "pg"}}
    before = len(engine.calls())
    planned, done = engine.apply(KIND, copy, check=True), engine.apply(KIND, copy)
    assert planned["diff"] == done["diff"] and done["diff"]["after"]["restore_from"] == {"cluster": "pg"}
    assert users(engine, "copy") == ["app"]
    assert [e["method"].rpartition(".")[2] for e in engine.calls()[before:]] == ["Restore"]
    engine.apply("postgresql_user", {"cluster": "pg", "name": "app"}, state="absent")
    engine.apply(KIND, {"name": "pg"}, state="absent")
    assert not engine.apply(KIND, copy)["changed"], "it is there, so where it came from does not matter any more"


def test_a_cluster_from_the_backup_that_is_named(engine, source):
    shown = engine.apply(KIND, {"name": "pg"}, state="info")["cluster"]["backups"]
    assert [b["type"] for b in shown] == ["automated"], "made with the cluster, before its user"
    engine.apply(KIND, {**source, "name": "second", "restore_from": {"backup": shown[0]["id"]}})
    assert users(engine, "second") == []
    assert "backups" not in engine.apply(KIND, {"name": "pg"})["cluster"]


def test_the_host_to_write_to(engine, source):
    """Of one host its own name; of several the name that follows the leader, and record sets say the same."""
    cluster = engine.apply(KIND, {"name": "pg"}, state="info")["cluster"]
    assert cluster["writable_host"] == cluster["hosts"][0]["name"]
    assert host_to_write_to("c9q", ["a", "b"]) == "c-c9q.rw.mdb.yandexcloud.net"


@pytest.mark.parametrize(
    ("restore_from", "says"),
    [
        ({"backup": "c9qnothing"}, "there is no backup c9qnothing; state: info of its cluster lists them"),
        ({"cluster": "gone"}, "there is no cluster gone; backups of a deleted cluster are restored by their id"),
        ({}, "say which cluster or which backup"),
    ],
)
def test_what_there_is_nothing_of(engine, source, restore_from, says):
    before = len(engine.calls())
    with pytest.raises(Fail, match=f"postgresql_cluster copy: restore_from: {says}"):
        engine.apply(KIND, {**source, "name": "copy", "restore_from": restore_from})
    assert len(engine.calls()) == before
    assert not engine.apply(KIND, {"name": "copy"}, state="info")["exists"]


def test_the_leader_stays_where_it_may(engine, source):
    """Of three hosts the two others go, without a failover."""
    kept = source["hosts"]
    many = [*kept, {"zone": "ru-central1-b", "subnet": "b"}, {"zone": "ru-central1-b", "subnet": "b"}]
    engine.apply(KIND, {"name": "pg", "hosts": many})
    before = len(engine.calls())
    engine.apply(KIND, {"name": "pg", "hosts": kept})
    assert [e["method"].rpartition(".")[2] for e in engine.calls()[before:]] == ["DeleteHosts", "DeleteHosts"]
