"""Keys that end: followed by another one in good time, and left to work until they do."""

from __future__ import annotations

import time

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail

SERVICE = "iam.v1.ApiKeyService"
DAY = 86400


@pytest.fixture
def declared(engine):
    """An account and a secret, and how its key is declared; all of its keys are gone afterwards."""
    needs = [{"iam_service_account": {"name": "robot"}}, {"lockbox_secret": {"name": "models-key"}}]
    engine.build(needs)
    whole = {"service_account": "robot", "valid_for": "90d", "save_to": {"secret": "models-key"}}
    yield {**whole, "scopes": ["yc.ai.foundationModels.execute"]}
    engine.apply("iam_api_key", {"service_account": "robot"}, state="absent")
    assert keys(engine) == []
    engine.demolish(needs)


def keys(engine) -> list:
    account = engine.apply("iam_service_account", {"name": "robot"}, state="info")["service_account"]["id"]
    return list(engine.session.pages(SERVICE, service_account_id=account))


def age(engine, days: int) -> None:
    """Have the only key end that many days from now, as if time had passed."""
    (key,) = keys(engine)
    row = engine.cloud.cloud.get("iam.v1.ApiKey", key.id)
    row.expires_at.FromSeconds(int(time.time()) + days * DAY)
    engine.cloud.cloud.kind("iam.v1.ApiKey").save(engine.cloud.cloud, row)


def saved(engine) -> str:
    secret = engine.apply("lockbox_secret", {"name": "models-key"}, state="info")["secret"]["id"]
    return engine.session.payload(secret)["key_id"]


def test_a_key_is_followed_when_a_third_of_its_life_is_left(engine, declared):
    made = engine.apply("iam_api_key", declared)["api_key"]
    assert abs(keys(engine)[0].expires_at.seconds - time.time() - 90 * DAY) < 60
    age(engine, 31)
    assert not engine.apply("iam_api_key", declared)["changed"]
    age(engine, 29)
    assert engine.apply("iam_api_key", declared, check=True)["diff"]["after"] == {"valid_for": 90 * DAY}
    successor = engine.apply("iam_api_key", {n: v for n, v in declared.items() if n != "scopes"})["api_key"]
    assert {k.id for k in keys(engine)} == {made["id"], successor["id"]}, "the old one works until it ends"
    assert saved(engine) == successor["id"] != made["id"] and successor["scopes"] == declared["scopes"]
    assert not engine.apply("iam_api_key", declared)["changed"]


def test_what_has_ended_is_taken_away_with_the_next(engine, declared):
    engine.apply("iam_api_key", declared)
    age(engine, -1)
    engine.apply("iam_api_key", declared)
    (key,) = keys(engine)
    assert saved(engine) == key.id and key.expires_at.seconds > time.time()


@pytest.mark.parametrize("before", ["90d", None])
def test_a_shorter_life_and_a_first_end_are_given_to_the_key_itself(engine, declared, before):
    made = engine.apply("iam_api_key", {**declared, "valid_for": before})["api_key"]
    change = {"service_account": "robot", "valid_for": "7d"}
    would, done = engine.apply("iam_api_key", change, check=True), engine.apply("iam_api_key", change)
    assert would["changed"] and done["api_key"]["id"] == made["id"] == saved(engine)
    (key,) = keys(engine)
    assert abs(key.expires_at.seconds - time.time() - 7 * DAY) < 60
    assert not engine.apply("iam_api_key", {**declared, "valid_for": "7d"})["changed"]


def test_a_successor_needs_a_place_for_its_secret(engine, declared):
    engine.apply("iam_api_key", declared)
    with pytest.raises(Fail, match="iam_api_key robot/stagecraft: another key has to be made: say in save_to"):
        engine.apply("iam_api_key", {"service_account": "robot", "valid_for": "365d"})
    assert len(keys(engine)) == 1
