"""Values as a person writes them, as the API has them, compared, and shown."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Bound, Fail, Field
from ansible_collections.stagecraft.platform.plugins.module_utils.values import (
    HIDDEN,
    edits,
    nearest,
    plain,
    same,
    seconds,
    show,
    spelled,
)

ENUM = {"on": "MODE_ON", "read_only": "READ_ONLY"}
PORT = Bound(Field("port"), "int")
NOTE = Bound(Field("note", default="none"), "str")
HINT = Bound(Field("hint"), "str")
OWN = Bound(Field("address", computed=True), "str")
RULES = Bound(Field("rules"), "dict", many=True, children={"port": PORT, "note": NOTE, "hint": HINT, "address": OWN})


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), (60, 60), (" 7s ", 7)]
)
def test_durations(text, value):
    assert seconds("ttl", text) == value


@pytest.mark.parametrize("text", ["soon", "5 minutes", "", "-1s", "1.5h"])
def test_durations_that_are_none(text):
    with pytest.raises(Fail, match=f"ttl: '{text}' is not a duration; write 30s"):
        seconds("ttl", text)


@pytest.mark.parametrize(
    ("given", "spelling"), [("MODE_ON", "on"), ("On", "on"), (True, "on"), ("read_only", "read_only")]
)
def test_enumerations(given, spelling):
    assert spelled(ENUM, given) == spelling


@pytest.mark.parametrize(("size", "text"), [(20 << 30, "20GB"), (1 << 40, "1TB"), (1536 << 20, "1536MB"), (7, "7B")])
def test_sizes_are_shown_as_they_are_written(size, text):
    assert show(Bound(Field("size", unit="size"), "int"), size) == text


def test_items_are_a_set_in_which_unset_is_the_default():
    want = plain(RULES, [{"port": 1}, {"port": 2, "note": "x"}], None)
    have = [{"port": 2, "note": "x", "address": "10.0.0.2"}, {"port": 1, "note": "none", "address": "10.0.0.1"}]
    assert same(RULES, want, have), "order does not matter, and what the cloud chose is left alone"
    assert not same(RULES, want, [have[0], {**have[1], "note": "old"}]), "a value that was taken out shows"
    assert not same(RULES, want, [have[0], {**have[1], "hint": "old"}]), "also where there is no default"
    assert not same(RULES, want, have[:1]) and not same(RULES, [], have) and same(RULES, [], [])


def test_in_a_message_unset_is_left_alone():
    message = Bound(Field("dhcp"), "dict", children={"port": PORT, "note": Bound(Field("note"), "str")})
    assert same(message, {"port": 1}, {"port": 1, "note": "kept"})
    assert not same(message, {"note": ""}, {"port": 1, "note": "kept"})
    with pytest.raises(Fail, match=r"dhcp has no prot \(did you mean port\?\)"):
        plain(message, {"prot": 1}, None)


def test_the_nearest_name():
    assert nearest("netwrok", ["network", "zone"]) == " (did you mean network?)"
    assert nearest("qqq", ["zone", "network"]) == " (there are: network, zone)"


def test_secrets_are_not_shown():
    secret = Bound(Field("text", write_only=True), "str")
    entry = Bound(Field("entries"), "dict", many=True, children={"text": secret})
    assert "hunter2" not in str(show(entry, [{"text": "hunter2"}]))


def edited(bound, want, have):
    return list(edits(bound, want, have, lambda field, value: value, bound.field.name))


def test_what_differs_in_a_set_is_said_by_item():
    have = [
        {"port": 1, "note": "none", "address": "10.0.0.1"},
        {"port": 2, "hint": "h"},
        {"port": 3, "address": "10.0.0.3"},
    ]
    want = [{"port": 4}, {"port": 2, "note": "x", "hint": "h"}, {"port": 1, "note": "none"}]
    assert edited(RULES, want, have) == [
        ("rules[1]", None, {"port": 4}),
        ("rules[2].note", None, "x"),
        ("rules[]", {"port": 3}, None),
    ]
    assert edited(RULES, [], have[:1]) == [("rules[]", {"port": 1, "note": "none"}, None)]
    assert edited(RULES, [{"port": 1}], [{"port": 1, "hint": "old"}]) == [("rules[1].hint", "old", None)], (
        "unset is the default"
    )


def test_what_differs_in_a_message_in_a_map_and_in_an_ordered_list():
    message = Bound(
        Field("dhcp"), "dict", children={"port": PORT, "note": NOTE, "labels": Bound(Field("labels"), "map")}
    )
    have = {"port": 1, "note": "kept", "labels": {"a": "1", "b": "2", "c": "3"}}
    want = {"port": 2, "labels": {"a": "1", "b": "9", "d": "4"}}
    assert edited(message, want, have) == [
        ("dhcp.port", 1, 2), ("dhcp.labels.b", "2", "9"), ("dhcp.labels.c", "3", None), ("dhcp.labels.d", None, "4"),
    ]  # fmt: skip
    steps = Bound(Field("steps", ordered=True), "str", many=True)
    assert edited(steps, ["b", "a"], ["a", "b"]) == [("steps", ["a", "b"], ["b", "a"])]


def test_a_secret_is_in_no_difference():
    secret = Bound(Field("text", write_only=True), "str")
    entries = Bound(Field("entries"), "dict", many=True, children={"key": HINT, "text": secret})
    assert edited(entries, [{"key": "new", "text": "hush"}], []) == [
        ("entries[1]", None, {"key": "new", "text": HIDDEN})
    ]
