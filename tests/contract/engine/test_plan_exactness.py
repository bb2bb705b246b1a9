"""What a plan says and what applying does are the same, for changes at every level: resources, options, items, labels."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.stagecraft.platform.plugins.callback.plan import labels
from ansible_collections.stagecraft.platform.plugins.callback.plan import resource as told
from ansible_collections.stagecraft.platform.plugins.module_utils import options
from ansible_collections.stagecraft.platform.plugins.module_utils.references import called
from ansible_collections.stagecraft.platform.plugins.module_utils.resource import Run
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from engine_runs import Engine

from stagecraft.plan.model import Origin, Plan, of_check

ORIGIN = Origin("contract", "here", "folder", "commit", "declarations")
DNS = {"direction": "egress", "protocol": "udp", "ports": {"from": 53, "to": 53}, "cidr": ["10.0.0.2/32"]}
SSH = {
    "direction": "ingress",
    "protocol": "tcp",
    "ports": {"from": 22, "to": 22},
    "cidr": ["10.0.0.0/8"],
    "description": "SSH",
}
OUT = {"direction": "egress", "cidr": ["0.0.0.0/0"]}
# What stays as it is: the rest stands on it.
GROUND: dict[str, dict] = {
    "vpc_network": {"main": {}},
    "vpc_gateway": {"egress": {}},
    "vpc_route_table": {"spare": {"network": "main", "routes": [{"destination": "0.0.0.0/0", "gateway": "egress"}]}},
}
# What is changed, with labels (keys and values), lists of items, and options of every sort.
STAGE: dict[str, dict] = {
    "vpc_subnet": {
        "a": {"network": "main", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"], "labels": {"team": "x"}}
    },
    "vpc_route_table": {"nat": {"network": "main", "routes": [{"destination": "0.0.0.0/0", "gateway": "egress"}]}},
    "vpc_security_group": {"web": {"network": "main", "labels": {"team": "x"}, "rules": [SSH, OUT, DNS]}},
    "storage_bucket": {
        "plan-models": {"max_size": "50GB", "lifecycle": [{"id": "old", "prefix": "tmp/", "expire_days": 7}]}
    },
    "kms_symmetric_key": {"data": {"description": "A key", "labels": {"team": "x"}}},
    "logging_log_group": {"logs": {"retention_period": "3d", "labels": {"team": "x"}}},
    "compute_disk": {"data": {"zone": "ru-central1-a", "size": "10GB", "replace": True}},
}
EDITS: dict[str, dict] = {
    "vpc_subnet": {"description": "Changed", "route_table": "spare"},
    "vpc_security_group": {"description": "Changed"},
    "storage_bucket": {"max_size": "60GB", "versioning": "enabled"},
    "kms_symmetric_key": {"description": "Another"},
    "logging_log_group": {"retention_period": "5d"},
    "compute_disk": {"size": "20GB", "zone": "ru-central1-b"},  # one in place, one only by a new one
}
ITEMS: dict[tuple[str, str], dict] = {  # for each list: an item to add, and what to edit in the first
    ("vpc_route_table", "routes"): {
        "add": {"destination": "10.99.0.0/16", "address": "10.10.1.9"},
        "edit": {"destination": "10.98.0.0/16"},
    },
    ("vpc_security_group", "rules"): {
        "add": {"direction": "ingress", "protocol": "udp", "cidr": ["10.0.0.0/8"]},
        "edit": {"ports": {"from": 2222, "to": 2222}},
    },
    ("storage_bucket", "lifecycle"): {"add": {"id": "parts", "abort_uploads_days": 2}, "edit": {"expire_days": 9}},
}  # fmt: skip
UNRENAMED = {"storage_bucket"}  # a bucket's name is its identity everywhere


@dataclass
class Changed:
    """What is declared of a kind after one change, and which of it goes."""

    kind: str
    name: str
    stage: dict[str, dict]
    gone: list[dict] = field(default_factory=list)


def changes() -> Iterator[Changed]:
    for kind, named in STAGE.items():
        (name,) = named
        yield from of_resources(kind, name)
        yield from of_options(kind, name)
        yield from of_labels(kind, name)
    for (kind, option), more in ITEMS.items():
        yield from of_items(kind, option, more)


def edited(kind: str, name: str, **more: Any) -> dict[str, dict]:
    return {kind: {name: copy.deepcopy(STAGE[kind][name]) | more}}


def of_resources(kind: str, name: str) -> Iterator[Changed]:
    added, renamed = copy.deepcopy(STAGE), copy.deepcopy(STAGE)
    added[kind]["another"] = copy.deepcopy(STAGE[kind][name]) | (
        {"cidr": ["10.10.9.0/24"]} if kind == "vpc_subnet" else {}
    )
    if kind == "storage_bucket":
        added[kind]["plan-another"] = added[kind].pop("another")
    yield Changed(kind, f"add a {kind}", added)
    removed = copy.deepcopy(STAGE)
    del removed[kind][name]
    yield Changed(kind, f"remove {kind} {name}", removed, [{kind: {"name": name, "state": "absent"}}])
    if kind not in UNRENAMED:
        renamed[kind]["renamed"] = {**renamed[kind].pop(name), "renamed_from": name}
        yield Changed(kind, f"rename {kind} {name}", renamed)


def of_options(kind: str, name: str) -> Iterator[Changed]:
    for option, value in EDITS.get(kind, {}).items():
        verb = "edit" if option in STAGE[kind][name] else "add"
        yield Changed(kind, f"{verb} {option} of {kind}", edited(kind, name, **{option: value}))
    if "description" in STAGE[kind][name]:
        yield Changed(kind, f"remove description of {kind}", edited(kind, name, description=""))


def of_labels(kind: str, name: str) -> Iterator[Changed]:
    if "labels" in STAGE[kind][name]:
        for verb, labels in {
            "add": {"team": "x", "new": "y"}, "edit": {"team": "z"}, "remove": {}, "rename": {"group": "x"},
        }.items():  # fmt: skip
            yield Changed(kind, f"{verb} a label of {kind}", edited(kind, name, labels=labels))


def of_items(kind: str, option: str, more: dict) -> Iterator[Changed]:
    (name,) = STAGE[kind]
    there = STAGE[kind][name][option]
    yield Changed(kind, f"add to {option} of {kind}", edited(kind, name, **{option: [*there, more["add"]]}))
    yield Changed(
        kind, f"edit in {option} of {kind}", edited(kind, name, **{option: [there[0] | more["edit"], *there[1:]]})
    )
    yield Changed(kind, f"remove from {option} of {kind}", edited(kind, name, **{option: there[1:]}))
    if len(there) > 2:
        yield Changed(kind, f"remove all but one of {option} of {kind}", edited(kind, name, **{option: there[:1]}))


CHANGES = list(changes())


def entries(stage: dict[str, dict], gone: list[dict] = ()) -> list[dict]:
    return [*gone, *({kind: {"name": n, **o}} for kind, named in stage.items() for n, o in named.items())]


def plan_of(rows: list[dict]) -> Plan:
    """The report of these rows, as the callback and the command make it."""
    assert [row for row in rows if "error" in row] == []
    seen = [told(row) for row in rows if row["changed"]]
    told_of = {
        "resources": seen,
        "undeclared": [],
        "tasks": [],
        "hosts": [],
        "machines": [],
        "as_left": [],
        "new_hosts": {},
    }
    plan = of_check(ORIGIN, told_of)
    assert sum(len(row["fields"]) for row in seen) == sum(len(change.fields) for change in plan.changes)
    return plan


def grown(plan: Plan) -> Counter[tuple[str, str]]:
    """By how many items each list of a resource grows or shrinks, as the plan says it."""
    found: Counter[tuple[str, str]] = Counter()
    for change in plan.changes:
        for one in change.fields:
            if item := re.fullmatch(r"(\w+)\[\d*\]", one.path):
                found[change.item, item[1]] += (one.old is None) - (one.new is None)
    return Counter({name: by for name, by in found.items() if by})


def grew(before: dict[str, tuple[str, dict]], after: dict[str, tuple[str, dict]]) -> dict[tuple[str, str], int]:
    """The same, as the cloud shows it of what is still the same resource."""
    both = [
        (item, before[item][1], after[item][1])
        for item in after
        if item in before and before[item][0] == after[item][0]
    ]
    lists = {(item, n): len(new.get(n) or ()) - len(old.get(n) or ()) for item, old, new in both for n in {*old, *new}
             if isinstance(new.get(n) or old.get(n), list)}  # fmt: skip
    return {name: by for name, by in lists.items() if by}


def there(engine: Engine, declared: list[dict]) -> dict[str, tuple[str, dict]]:
    """What the cloud has of what is declared, by what it is called: its id, and its options."""
    session, found = engine.session, {}
    for item in options.read_all(declared, ALL, session, "info")[0]:
        backend = item[0].backend(session, *item)
        if (have := Run(backend, item[1], session, True).find()) is not None:
            found[called(item, session)] = (backend.id, have)
    return found


def did(before: dict[str, tuple[str, dict]], after: dict[str, tuple[str, dict]]) -> dict[str, tuple[str, set[str]]]:
    """What happened to each resource, as the cloud shows it: and the options that differ, of one that was changed."""
    seen: dict[str, tuple[str, set[str]]] = {item: ("delete", set()) for item in before if item not in after}
    for item, (ident, have) in after.items():
        old, was = before.get(item, ("", {}))
        differs = {n for n in {*have, *was} if (have.get(n) or None) != (was.get(n) or None)}
        if not old:
            seen[item] = ("create", set())
        elif old != ident:
            seen[item] = ("replace", set())
        elif differs:
            seen[item] = ("change", differs)
    return seen


def said(plan: Plan) -> dict[str, tuple[str, set[str]]]:
    """The same, as the plan says it."""
    roots = {c.item: {f.path.partition(".")[0].partition("[")[0] for f in c.fields} for c in plan.changes}
    return {c.item: (c.action, roots[c.item] if c.action == "change" else set()) for c in plan.changes}


@pytest.fixture(scope="module")
def ground(shared_cloud):
    engine = Engine.at(shared_cloud)
    engine.build(entries(GROUND))
    yield shared_cloud
    engine.demolish(entries(GROUND))


def test_there_are_changes_enough():
    assert len(CHANGES) > 40 and len({change.name for change in CHANGES}) == len(CHANGES)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_what_is_planned_is_what_happens(ground, change):
    engine, later = Engine.at(ground), Engine.at(ground)
    engine.build(entries({change.kind: STAGE[change.kind]}))
    declared = entries(change.stage, change.gone)
    try:
        before, calls = there(engine, declared), len(engine.calls())
        planned, again = (plan_of(engine.stack(declared, check=True)) for _ in range(2))
        assert len(engine.calls()) == calls, "planning changed something"
        assert planned.digest() == again.digest() and not planned.empty
        assert plan_of(engine.stack(declared)).changes == planned.changes
        after = there(later, declared)
        assert did(before, after) == said(planned) and grew(before, after) == grown(planned)
        assert plan_of(later.stack(declared, check=True)).empty
    finally:
        later.demolish(entries(change.stage))


def test_a_machine_keeps_its_place_in_the_inventory_where_it_is_replaced(ground):
    """What is declared of labels is the same, so the difference does not have it."""
    subnet = {"vpc_subnet": {"name": "a", **STAGE["vpc_subnet"]["a"]}}
    machine = {
        "name": "web-1", "zone": "ru-central1-a", "cores": 2, "memory": "2GB", "image": "debian-12", "disk_size": "10GB",
        "labels": {"stagecraft-role": "web"}, "network_interfaces": [{"subnet": "a"}], "replace": True,
    }  # fmt: skip
    declared = [subnet, {"compute_instance": machine}]
    Engine.at(ground).build(declared)
    try:
        (row,) = Engine.at(ground).stack([{"compute_instance": machine | {"disk_size": "5GB"}}], check=True)
        assert told(row)["action"] == "replaced" and labels(row)["stagecraft-role"] == "web"
    finally:
        Engine.at(ground).demolish(declared)


def test_a_check_says_how_a_resource_would_be_and_was_without_secrets(ground):
    engine = Engine.at(ground)
    engine.build(entries({"compute_disk": STAGE["compute_disk"]}))
    try:
        secret = {"name": "hidden", "entries": [{"key": "word", "text": "not-to-be-seen"}]}
        made, gone = engine.stack(
            [{"lockbox_secret": secret}, {"compute_disk": {"name": "data", "state": "absent"}}], check=True
        )
        assert made["declared"]["entries"][0]["key"] == "word" and "not-to-be-seen" not in str(made["declared"])
        assert (gone["was"]["size"], gone["was"]["zone"]) == ("10GB", "ru-central1-a") and "declared" not in gone
    finally:
        engine.demolish(entries({"compute_disk": STAGE["compute_disk"]}))
