"""What a run keeps for its record: values without secrets, and versions of secrets, so that newer ones are sent."""

from __future__ import annotations

import json

import pytest
from engine_runs import Engine, case

OLD, NEW = "first-of-all-passwords", "second-of-all-passwords"
USER = {
    "postgresql_user": {"cluster": "pg", "name": "app", "password_secret": {"secret": "database", "key": "password"}}
}
LABEL = "postgresql_user pg/app"


def secret(text: str, **more: object) -> dict:
    return {"lockbox_secret": {"name": "database", "entries": [{"key": "password", "text": text}], **more}}


@pytest.fixture
def around(engine):
    needs = [n for n in case("postgresql_user")["needs"] if "lockbox_secret" not in n] + [secret(OLD)]
    engine.build(needs)
    yield
    engine.demolish([USER, *needs])


def go(engine: Engine, applied_secrets: dict | None, check: bool = False) -> dict:
    (row,) = Engine.at(engine.cloud, applied_secrets=applied_secrets).stack([USER], check=check)
    assert "error" not in row, row
    return row


def sent(engine: Engine) -> list[dict]:
    return engine.calls("mdb.postgresql.v1.UserService.Update")


def test_a_newer_version_is_sent_once(engine, around):
    earlier = len(sent(engine))  # the cloud is shared
    made = go(engine, {})
    record = {LABEL: made["secret_versions"]}
    assert record[LABEL]["password"] and not go(engine, record)["changed"] and len(sent(engine)) == earlier

    engine.stack([secret(NEW, update_secrets=True)])
    assert not go(engine, None)["changed"], "who keeps no record does not ask"
    would, did = go(engine, record, check=True), go(engine, record)
    assert would["changed"] and would["diff"] == did["diff"] and list(did["diff"]["after"]) == ["password"]
    assert len(sent(engine)) == earlier + 1
    assert did["secret_versions"] != record[LABEL]
    assert not go(engine, {LABEL: did["secret_versions"]})["changed"]
    user = engine.cloud.cloud.all("mdb.postgresql.v1.User")[0]
    assert engine.cloud.cloud.secret("mdb.postgresql.v1.User", f"{user.cluster_id}/app") == NEW.encode()
    assert NEW not in json.dumps([would, did]) and OLD not in json.dumps(made)


def test_without_a_record_it_is_sent_again(engine, around):
    """The run that made it may have been cut off before it wrote one."""
    go(engine, {})
    assert go(engine, {})["changed"] and not go(engine, None)["changed"]


def test_what_is_recorded_is_as_declared_and_without_secrets(engine, around):
    recording = Engine.at(engine.cloud, applied_secrets={})
    recorded = {
        row["item"]: row["applied"] for row in recording.stack([secret(OLD), USER, {"vpc_network": {"name": "x"}}])
    }
    assert recorded["lockbox_secret database"]["entries"] == [{"key": "password"}]
    assert recorded["vpc_network x"]["labels"]["stagecraft-stage"] == "contract"
    assert "password" not in recorded[LABEL] and OLD not in json.dumps(recorded)
    assert "applied" not in engine.apply("vpc_network", {"name": "x"})
    engine.stack([{"vpc_network": {"name": "x"}}], "absent")
