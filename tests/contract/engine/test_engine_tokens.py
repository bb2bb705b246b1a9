"""One IAM token serves all calls of a session, and is followed by another in good time."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from engine_runs import Engine
from yandexcloud import _auth_fabric

from ansible_collections.stagecraft.platform.plugins.module_utils.iam_token import MARGIN  # isort: skip

EXCHANGE = "IamTokenService.Create"
SOME = [
    {"vpc_network": {"name": "main"}},
    {"iam_service_account": {"name": "robot"}},
    {"lockbox_secret": {"name": "models-key"}},
    {"compute_disk": {"name": "data", "zone": "ru-central1-a", "size": "10GB"}},
]


@pytest.fixture
def exchanged(cloud):
    """How many tokens were asked for since the test began."""
    before = count(cloud)
    return lambda: count(cloud) - before


def count(cloud) -> int:
    return sum(entry["method"].endswith(EXCHANGE) for entry in cloud.journal.entries())


@pytest.mark.parametrize("kind", ["service_account_key_file", "token"])
def test_services_share_one_token(cloud, engine, exchanged, kind):
    oauth = (cloud.folder / "oauth.token").read_text()
    engine = engine if kind != "token" else Engine.at(cloud, token=oauth, service_account_key_file=None, auth="token")
    engine.build(SOME)
    engine.demolish(SOME)
    assert exchanged() == 1
    called = {entry["method"].split(".")[0] for entry in engine.calls()}
    assert {"vpc", "iam", "lockbox", "compute"} <= called, "services of different addresses were asked"


@pytest.mark.parametrize("minutes", [-80, 20])
def test_a_clock_that_is_wrong_is_named(cloud, monkeypatch, minutes):
    """What signs the request for a token says when: too far off, and the cloud refuses it."""
    monkeypatch.setattr(_auth_fabric, "time", SimpleNamespace(time=lambda: time.time() + minutes * 60))
    with pytest.raises(
        Fail, match=r"UNAUTHENTICATED: no IAM token: .*this machine's clock wrong \(it says 20..-.* UTC\)"
    ):
        Engine.at(cloud).apply("vpc_network", {"name": "main"})


def test_a_token_that_ends_soon_is_followed_by_another(cloud, engine, exchanged, monkeypatch):
    monkeypatch.setattr(cloud.cloud.identity, "token_life", MARGIN - 1)
    engine.build(SOME)
    assert exchanged() > 1
    monkeypatch.undo()
    engine.demolish(SOME)
    done = exchanged()
    assert engine.apply("vpc_network", {"name": "main"}, check=True)["changed"] and exchanged() == done
