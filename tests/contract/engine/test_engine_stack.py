"""Many declarations at once: order, circles, equal names in two places, secrets."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from engine_runs import Engine

from rehearsal.cloud import server
from rehearsal.world import World

NETWORK = [
    {"vpc_network": {"name": "main"}},
    {"vpc_subnet": {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"]}},
]


def cluster(name: str) -> dict:
    hosts = [{"zone": "ru-central1-a", "subnet": "a"}]
    return {
        "postgresql_cluster": {
            "name": name,
            "network": "main",
            "preset": "s3-c2-m8",
            "disk_size": "10GB",
            "hosts": hosts,
        }
    }


def group(name: str, other: str) -> dict:
    rule = {"direction": "ingress", "protocol": "tcp", "ports": {"from": 80, "to": 80}, "security_group": other}
    return {"vpc_security_group": {"name": name, "network": "main", "rules": [rule]}}


def lives(engine: Engine, declared: list) -> None:
    """Made, unchanged by a second run, deleted; check mode says so each time."""
    planned, made, again = engine.stack(declared, check=True), engine.stack(declared), engine.stack(declared)
    assert [r for r in (*planned, *made, *again) if "error" in r] == []
    assert all(r["changed"] for r in planned) and all(r["changed"] for r in made)
    assert [r["diff"] for r in planned] == [r["diff"] for r in made]
    assert [r["item"] for r in again if r["changed"]] == []
    gone = engine.stack(declared, "absent")
    assert [r for r in gone if "error" in r] == [] and all(r["changed"] for r in gone)
    assert not any(r["changed"] for r in engine.stack(declared, "absent"))


def test_security_groups_that_name_each_other(engine):
    lives(engine, [group("one", "two"), group("two", "three"), group("three", "one"), NETWORK[0]])


def test_a_group_that_names_itself_gets_that_rule_when_it_is_there(engine):
    lives(engine, [group("alone", "alone"), NETWORK[0]])


def test_a_renamed_network_keeps_what_is_in_it(engine):
    engine.build(NETWORK)
    renamed = [
        {"vpc_network": {"name": "wide", "renamed_from": "main"}},
        {"vpc_subnet": {**NETWORK[1]["vpc_subnet"], "network": "wide"}},
    ]
    try:
        planned, done, again = engine.stack(renamed, check=True), engine.stack(renamed), engine.stack(renamed)
        assert [[r["changed"] for r in results] for results in (planned, done, again)] == [
            [True, False],
            [True, False],
            [False, False],
        ]
        assert not [r for r in (*planned, *done, *again) if r["missing"]]
    finally:
        engine.demolish(renamed)
        engine.demolish(NETWORK)


def test_an_owner_with_permissions_on_the_database_it_owns(engine):
    user = {"cluster": "pg", "name": "app", "password": "long-enough-1", "permissions": [{"database": "data"}]}
    database = {"cluster": "pg", "name": "data", "owner": "app"}
    reader = {"cluster": "pg", "name": "reader", "password": "long-enough-2", "permissions": [{"database": "data"}]}
    declared = [{"postgresql_user": user}, {"postgresql_database": database}, {"postgresql_user": reader}]
    engine.build([*NETWORK, cluster("pg")])
    try:
        planned = engine.stack(declared, check=True)
        made = engine.stack(declared)
        assert [r for r in (*planned, *made) if "error" in r or not r["changed"]] == []
        assert not any(r["changed"] for r in engine.stack(declared))
        gone = engine.stack(declared, "absent")
        assert [r for r in gone if "error" in r] == []
    finally:
        engine.demolish([*NETWORK, cluster("pg")])


def test_equal_names_in_two_clusters(engine):
    def children(name: str) -> list[dict]:
        return [
            {"postgresql_database": {"cluster": name, "name": "data", "owner": "app"}},
            {"postgresql_user": {"cluster": name, "name": "app", "password": f"long-enough-{name}"}},
        ]

    lives(engine, [*children("one"), *children("two"), cluster("one"), cluster("two"), *NETWORK])


def test_progress_tells_of_each_once(engine):
    from ansible_collections.stagecraft.platform.plugins.module_utils import options, stack
    from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL

    declared, told = [group("one", "two"), group("two", "one"), NETWORK[0]], []
    items, _ = options.read_all(declared, ALL, engine.session)
    try:
        results = stack.stack(items, engine.session, progress=told.append)
        assert sorted(t["item"] for t in told) == sorted(r["item"] for r in results) and len(told) == 3
        assert told[0]["item"] == "vpc_network main"
    finally:
        engine.demolish(declared)


class Listening(World):
    """Hears the passwords that the databases get."""

    def __init__(self) -> None:
        self.passwords: dict[str, str | None] = {}

    def put_user(self, cloud, cluster, user, password):
        self.passwords[user.name] = password


@pytest.fixture
def listening(tmp_path):
    world = Listening()
    emulator = server.start(tmp_path / "cloud", world=world)
    yield world, Engine.at(emulator)
    emulator.stop()


def test_a_password_comes_from_the_secret_store(listening):
    world, engine = listening
    user = {"cluster": "pg", "name": "app", "password_secret": {"secret": "database", "key": "password"}}
    secret = {"name": "database", "generate": {"key": "password", "length": 32, "punctuation": False}}
    results = engine.stack([{"postgresql_user": user}, {"lockbox_secret": secret}, cluster("pg"), *NETWORK])
    assert [r for r in results if "error" in r] == []
    kept = engine.session.payload(results[1]["secret"]["id"])["password"]
    assert world.passwords["app"] == kept and len(kept) == 32
    assert kept not in str(results)
    assert not engine.apply("postgresql_user", user)["changed"]
    world.passwords.clear()
    sent = engine.apply("postgresql_user", {**user, "update_secrets": True})
    assert sent["changed"] and world.passwords["app"] == kept and kept not in str(sent)
    pin = {"secret": "database", "key": "pin"}
    with pytest.raises(Fail, match="postgresql_user pg/app: the secret has no entry pin"):
        engine.apply("postgresql_user", {**user, "password_secret": pin, "update_secrets": True})
