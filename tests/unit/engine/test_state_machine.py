"""The engine's decisions, over a backend that is a dictionary."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.resource import Fail, apply
from fake_cloud import PLACE, THING, Session


@pytest.fixture
def session():
    session = Session(**{"stagecraft-stage": "s"})
    apply(PLACE, {"name": "here", "state": "present"}, session)
    apply(PLACE, {"name": "there", "state": "present"}, session)
    session.asked.clear()
    return session


def go(session, check=False, **params):
    given = dict.fromkeys(session.bound(THING)) | {"state": "present", "name": "a"} | params
    return apply(THING, given, session, check)


def verbs(session):
    return [verb for verb, *_ in session.asked]


def test_check_mode_asks_for_nothing_and_says_the_same(session):
    would = go(session, check=True, place="here", color="red")
    assert session.asked == []
    did = go(session, place="here", color="red")
    assert (would["changed"], would["diff"]) == (did["changed"], did["diff"])
    assert did["diff"]["after"] == {"place": "here", "color": "red", "labels": {"stagecraft-stage": "s"}}
    assert session.asked[0][2]["wanted"]["size"] == 1, "defaults are sent at creation"


def test_only_what_changed_is_sent(session):
    go(session, place="here", color="red", size=3)
    session.asked.clear()
    assert not go(session, place="here", color="red")["changed"] and session.asked == []
    go(session, color="blue", size=3)
    assert session.asked == [("update", "a", {"changed": ["color"], "stop": False})]


def test_unset_leaves_alone_and_empty_clears(session):
    go(session, place="here", color="red", labels={"a": "b"})
    assert not go(session)["changed"]
    assert go(session, color="")["diff"] == {"before": {"color": "red"}, "after": {"color": ""}}
    assert go(session, labels={})["diff"]["after"] == {"labels": {"stagecraft-stage": "s"}}


def test_the_stages_labels_survive_a_session_that_does_not_know_them(session):
    go(session, place="here")
    session.stage_labels = {}
    assert not go(session, labels={})["changed"]


def test_a_replacement_is_asked_for_and_checked_first(session):
    go(session, place="here", color="red")
    session.asked.clear()
    with pytest.raises(Fail, match="thing a: place cannot be changed from 'here' to 'there': only a new one"):
        go(session, place="there")
    assert session.asked == []
    go(session, place="there", replace=True)
    assert verbs(session) == ["delete", "create"]


def test_a_reference_that_does_not_exist(session):
    with pytest.raises(Fail, match="thing a: place: there is no .*place nowhere"):
        go(session, place="nowhere")
    would = go(session, check=True, place="nowhere")
    assert would["changed"] and would["missing"] == ["fake_place nowhere"]


def test_what_needs_it_stopped_says_so(session):
    go(session, place="here")
    next(t for place, t in session.things.items() if "Thing" in place[0])["running"] = True
    session.asked.clear()
    with pytest.raises(Fail, match="size can change only while it is stopped: allow_stopping: true"):
        go(session, size=2)
    go(session, size=2, allow_stopping=True)
    assert session.asked == [("update", "a", {"changed": ["size"], "stop": True})]


def test_secrets_are_sent_when_asked_and_never_shown(session):
    assert "hunter2" not in str(go(session, place="here", password="hunter2")["diff"])
    session.asked.clear()
    assert not go(session, password="other")["changed"]
    sent = go(session, password="other", update_secrets=True)
    assert sent["changed"] and "other" not in str(sent["diff"]) and verbs(session) == ["update"]


def test_looking_changes_nothing(session):
    assert go(session, state="info") == {
        "changed": False,
        "diff": {"before": {}, "after": {}},
        "exists": False,
        "missing": [],
    }
    go(session, place="here")
    session.asked.clear()
    assert go(session, state="info")["thing"]["labels"] == {"stagecraft-stage": "s"} and session.asked == []


def test_deleting_twice(session):
    go(session, place="here")
    assert go(session, check=True, state="absent")["changed"] and "delete" not in verbs(session)
    assert go(session, state="absent")["changed"] and not go(session, state="absent")["changed"]
