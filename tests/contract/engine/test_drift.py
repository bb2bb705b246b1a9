"""What was changed outside since a stage was applied: every kind, against the record that applying it makes."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail, has_secret
from ansible_collections.stagecraft.platform.plugins.module_utils.lease import Lease
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_worker import Answers
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs import drift
from engine_runs import LABELS, VARIABLES, Engine, case, kind_of

from rehearsal.cloud import server

KINDS = sorted(r.kind for r in ALL)
STARTED = "2026-01-01T00:00:00Z"


def recorded(engine: Engine, declarations: list, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Apply them as a run does that keeps a record, after the one with the record `before`; the record."""
    rows = Engine.at(engine.cloud, applied_secrets={}, seen=(before or {}).get("seen")).stack(declarations)
    assert [row for row in rows if "error" in row] == []
    stage, app = LABELS.values()
    return {"stage": stage, "app": app, "started": STARTED, "seen": {row["item"]: row["seen"] for row in rows}}


def drifted(engine: Engine, record: dict[str, Any], declared: list | None = None) -> list[dict[str, Any]]:
    reach = {option: engine.cloud.env[variable] for option, variable in VARIABLES.items()}
    request = {"connection": reach, "record": record, "declared": declared, "ignore": []}
    return drift.run(request, Answers(io.StringIO()))["drift"]


def what(rows: list[dict[str, Any]]) -> set[tuple]:
    return {(row["what"], row["kind"], row["name"], row["field"]) for row in rows}


def seen(engine: Engine, kind: str, given: dict[str, Any]) -> bool:
    """Whether the cloud shows all that is given: of a secret, only its version tells that it is another one."""
    bound = engine.session.bound(kind_of(kind))
    return not any(has_secret(bound[n]) for n in given if n in bound) and given.keys() <= bound.keys()


@pytest.fixture
def alone(tmp_path):
    """A cloud with nothing else in it."""
    emulator = server.start(tmp_path / "cloud")
    yield Engine.at(emulator)
    emulator.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_applied_is_no_drift_and_what_was_changed_is(alone: Engine, kind: str):
    life = case(kind)
    whole = life["create"]
    keys = [n for n, b in alone.session.bound(kind_of(kind)).items() if b.field.key]
    identity = {n: v for n, v in whole.items() if n in keys}
    declared = [*life.get("needs", []), {kind: whole}]
    record = recorded(alone, declared)
    assert drifted(alone, record, declared) == []
    for step in [step for step in life.get("update", []) if seen(alone, kind, step["set"])][:1]:
        Engine.at(alone.cloud).apply(kind, identity | step["set"])
        rows = drifted(alone, record, declared)
        fields = {row["field"].partition(".")[0].partition("[")[0] for row in rows}
        assert {row["what"] for row in rows} == {"changed"} and fields <= step["set"].keys() and fields, rows
        assert drifted(alone, record, [*declared[:-1], {kind: {**whole, **step["set"]}}]) == [], (
            "as it is declared by now"
        )


NETWORK = {"vpc_network": {"name": "main"}}
SUBNET = {
    "name": "a",
    "network": "main",
    "zone": "ru-central1-a",
    "cidr": ["10.10.1.0/24"],
    "dhcp": {"domain_name": "a."},
}


def test_what_nobody_declares_beside_a_declared_option_stays_drift_until_it_is_undone(alone: Engine):
    declared = [NETWORK, {"vpc_subnet": SUBNET}]
    record = recorded(alone, declared)
    dhcp = {"domain_name": "a.", "ntp_servers": ["10.10.1.9"]}
    Engine.at(alone.cloud).apply("vpc_subnet", SUBNET | {"dhcp": dhcp, "description": "Bob's"})
    found = {("changed", "vpc_subnet", "a", "dhcp.ntp_servers[]"), ("changed", "vpc_subnet", "a", "description")}
    rows = drifted(alone, record, declared)
    assert what(rows) == found and all(row["left"] for row in rows), rows
    record = recorded(alone, declared, record)
    assert what(drifted(alone, record, declared)) == found, "a run does not take over what it leaves"
    Engine.at(alone.cloud).stack([{"vpc_subnet": {"name": "a"}}], "absent")
    assert what(drifted(alone, record, declared)) == {("gone", "vpc_subnet", "a", "")}
    assert drifted(alone, recorded(alone, declared, record), declared) == [], "it was made anew"


def test_values_that_nobody_declares_are_told_apart_and_not_shown(alone: Engine):
    schedule = {"name": "nightly", "expression": "0 3 * * *", "snapshot_count": 7}
    declared = [{"compute_snapshot_schedule": schedule}]
    record = recorded(alone, declared)
    for secret in ("hunter2", "hunter3"):
        Engine.at(alone.cloud).apply("compute_snapshot_schedule", schedule | {"snapshot_labels": {"password": secret}})
        (row,) = drifted(alone, record, declared)
        assert (
            row["field"] == "snapshot_labels.password" and row["new"].startswith("sha256:") and secret not in str(row)
        )
        record = recorded(alone, declared)
        assert drifted(alone, record, declared) == [] and secret not in str(record)


def test_a_run_that_goes_on_is_waited_for_and_one_that_is_over_is_no_drift(alone: Engine):
    record = recorded(alone, [NETWORK])
    lease = Lease(alone.session, "alice on ci", 60)
    lease.take(1)
    with pytest.raises(Fail, match=r"a run is changing folder .* \(alice on ci\): look again"):
        drifted(alone, record, [NETWORK])
    lease.release()
    killed = Lease(alone.session, "bob", 2)
    killed.take(1)
    time.sleep(2.1)
    assert drifted(alone, record, [NETWORK]) == []


def test_what_is_no_longer_declared_and_stays_is_no_drift(alone: Engine):
    record = recorded(alone, [NETWORK])
    alone.build([{"vpc_network": {"name": "old"}}])
    assert what(drifted(alone, record, [NETWORK])) == {("new", "vpc_network", "old", "")}
    assert drifted(alone, record | {"undeclared": [{"kind": "vpc_network", "name": "old"}]}, [NETWORK]) == []


def test_a_secret_says_by_its_version_that_it_was_written(alone: Engine):
    declared = [{"lockbox_secret": {"name": "key"}}]
    record = recorded(alone, declared) | {"secrets": {"key": ""}}
    assert drifted(alone, record, declared) == []
    Engine.at(alone.cloud).apply("lockbox_secret", {"name": "key", "entries": [{"key": "k", "text": "hunter2"}]})
    (row,) = drifted(alone, record, declared)
    assert row["field"] == "current_version" and row["old"] is None and row["new"] and "hunter2" not in str(row)
