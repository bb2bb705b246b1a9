"""What was changed outside since a stage was applied: every kind, against the record that applying it makes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import has_secret
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_worker import Answers
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs import drift
from engine_runs import LABELS, VARIABLES, Engine, case, kind_of

from rehearsal.cloud import server

KINDS = sorted(r.kind for r in ALL)
STARTED = "2026-01-01T00:00:00Z"


def recorded(engine: Engine, declarations: list) -> dict[str, Any]:
    """Apply them as a run does that keeps a record; the record."""
    rows = Engine.at(engine.cloud, applied_secrets={}).stack(declarations)
    assert [row for row in rows if "error" in row] == []
    stage, app = LABELS.values()
    return {"stage": stage, "app": app, "started": STARTED, "seen": {row["item"]: row["seen"] for row in rows}}


def drifted(engine: Engine, record: dict[str, Any], declared: list | None = None) -> list[dict[str, Any]]:
    reach = {option: engine.cloud.env[variable] for option, variable in VARIABLES.items()}
    request = {"connection": reach, "record": record, "declared": declared}
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
