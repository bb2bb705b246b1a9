"""A plan: what the stage's playbook would change, as a check of it has said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

ACTIONS = {"created": "create", "updated": "change", "replaced": "replace", "deleted": "delete"}
# What a resource comes to that two tasks have a change for, such as a secret that the keys and the cloud make.
STRONGEST = ("created", "replaced", "deleted", "updated")
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
SECRET = "(secret)"  # noqa: S105 - what stands in the place of one
CONTROLLER = "localhost"
MACHINE = "compute_instance"  # the kind of resource that a host is
# What happens to a unit that several tasks do something to: the first of these. `change` is whatever else.
VERBS = ("stop", "restart", "start", "reload", "change")


@dataclass(frozen=True)
class Field:
    """One field that differs; None is nothing. A secret is never shown."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Change:
    """One resource that would be created, changed, replaced or deleted."""

    item: str  # kind and name, as messages call it
    action: str
    why: str = ""
    fields: tuple[Field, ...] = ()
    wanted: dict[str, Any] = field(default_factory=dict)  # what a new one is declared with
    stops: tuple[str, ...] = ()  # the fields for which it is stopped


@dataclass(frozen=True)
class Host:
    """What would change on a machine, or the roles that one would get that does not exist yet."""

    name: str
    new: bool = False
    roles: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    units: dict[str, str] = field(default_factory=dict)  # what happens to each: one of VERBS
    tasks: tuple[str, ...] = ()  # whatever else would change, by the name of its task
    together: tuple[str, ...] = ()  # the units that stop on all machines of a play at once, not on one after the other
    digest: str = ""  # of the contents that would change


@dataclass(frozen=True)
class Origin:
    """From what a plan was made, and how: what has to be the same when it is applied."""

    stage: str
    where: str
    folder: str
    commit: str
    declarations: str  # digest of the stage's inventory
    variables: dict[str, object] = field(default_factory=dict)
    cloud_only: bool = False
    thorough: bool = False  # roles go through machines that are as the last run left them, too


@dataclass(frozen=True)
class Price:
    """What is declared of a stage costs a month, as it is and as it would be: amounts as text, so that none is rounded on
    the way, and empty where they are not known. `unknown` says what is not counted, and what `usage` names in vain."""

    now: str
    then: str
    difference: str
    budget: str | None
    components: dict[str, dict[str, str]]  # `now` and `then` of each
    unknown: tuple[str, ...] = ()
    currency: str = "USD"


@dataclass(frozen=True)
class Plan:
    """Everything that would change. `to_json` and `read` are each other's inverse."""

    origin: Origin
    changes: tuple[Change, ...] = ()
    undeclared: tuple[str, ...] = ()
    hosts: tuple[Host, ...] = ()
    existing: tuple[str, ...] = ()  # machines that there are
    as_left: tuple[str, ...] = ()  # of these, the ones that no role went through: they are as the last run left them
    price: Price | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing would be done. What is undeclared stays until somebody says `prune`."""
        return not self.changes and not self.hosts

    def count(self, action: str) -> int:
        return sum(change.action == action for change in self.changes)

    def counts(self) -> dict[str, int]:
        """Of the closing line: resources, and under `change` machines too, of which only the content would change."""
        counts = {action: self.count(action) for action in ACTIONS.values()}
        changing = {change.item for change in self.changes}
        counts["change"] += sum(not host.new and f"{MACHINE} {host.name}" not in changing for host in self.hosts)
        return counts | {"undeclared": len(self.undeclared)}

    def closing(self) -> str:
        counts = self.counts()
        said = ", ".join(f"{counts[action]} to {action}" for action in ACTIONS.values())
        return f"{self.origin.stage}: {said}, {counts['undeclared']} undeclared"

    def digest(self) -> str:
        """Of what it was made from and all that would change: two plans with the same digest do the same."""
        return digest([asdict(self.origin), *map(asdict, self.changes), *map(asdict, self.hosts)])

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "counts": self.counts(), "digest": self.digest()}


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def of_check(origin: Origin, told: dict[str, Any]) -> Plan:
    """The plan that the callback `stagecraft.platform.plan` has written down."""
    changes = merged(told["resources"])
    gone = {change.item for change in changes if change.action == "delete"}
    undeclared = [f"{row['kind']} {row['name'] or row['id']}" for row in told["undeclared"]]
    there = {*told["hosts"], *told["machines"]} - {CONTROLLER}
    new = [Host(name, True, tuple(map(short, roles))) for name, roles in sorted(told["new_hosts"].items())]
    names = {host.name for host in new}
    tasks = [task for task in told["tasks"] if task["host"] not in names]  # a machine that is replaced starts anew
    hosts = [on_host(name, [t for t in tasks if t["host"] == name]) for name in sorted({t["host"] for t in tasks})]
    return Plan(
        origin,
        tuple(changes),
        tuple(sorted(set(undeclared) - gone)),
        (*hosts, *new),
        tuple(sorted(there)),
        tuple(told["as_left"]),
    )


def merged(rows: Iterable[dict[str, Any]]) -> list[Change]:
    """One change a resource, in a fixed order."""
    by_item: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_item.setdefault(row["item"], []).append(row)
    return [one_change(item, mine) for item, mine in sorted(by_item.items())]


def one_change(item: str, rows: list[dict[str, Any]]) -> Change:
    action = min((row["action"] for row in rows), key=STRONGEST.index)
    replaces = [name for row in rows for name in row["replaces"]]
    reasons = [row["why"] for row in rows if row["why"]]
    reasons += [f"only a new one can have another {', '.join(replaces)}"] if replaces else []
    created = action in ("created", "replaced")
    wanted = {name: hidden(value) for row in rows for name, value in row["wanted"].items()} if created else {}
    stops = tuple(name for row in rows for name in row["stops"])
    return Change(item, ACTIONS[action], "; ".join(reasons), differing(rows), wanted, stops)


def differing(rows: Iterable[dict[str, Any]]) -> tuple[Field, ...]:
    """The fields that differ: several of one path where items leave a list. The last row to name a path counts."""
    by_path: dict[str, list[Field]] = {}
    for row in rows:
        mine: dict[str, list[Field]] = {}
        for path, old, new in row["fields"]:
            mine.setdefault(path, []).append(Field(path, hidden(old), hidden(new)))
        by_path |= mine
    return tuple(one for found in by_path.values() for one in found)


def hidden(value: Any) -> Any:
    """A value with a plain word where the engine has left a secret out."""
    if isinstance(value, dict):
        return {name: hidden(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hidden(one) for one in value]
    return SECRET if value == HIDDEN else value


def on_host(name: str, tasks: list[dict[str, Any]]) -> Host:
    """What several tasks would do to one machine."""
    units: dict[str, str] = {}
    for unit, verb in (one for task in tasks for one in task["units"].items()):
        units[unit] = min(verb, units.get(unit, verb), key=VERBS.index)
    told = [t for t in tasks if not (t["files"] or t["packages"] or t["units"])]
    return Host(
        name,
        roles=unique(short(task["role"]) for task in tasks if task["role"]),
        files=unique(path for task in tasks for path in task["files"]),
        packages=unique(package for task in tasks for package in task["packages"]),
        units=dict(sorted(units.items())),
        tasks=unique(task["name"] for task in told),
        together=unique(unit for task in tasks if not task["serial"] for unit in task["units"]),
        digest=digest([task["digest"] for task in tasks]),
    )


def short(role: str) -> str:
    return role.rpartition(".")[2]


def unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def read(told: dict[str, Any]) -> Plan:
    """The plan of a JSON document. Raises KeyError, TypeError or ValueError where it is none, or was changed."""
    changes = [
        Change(**{**c, "fields": tuple(Field(**f) for f in c["fields"]), "stops": tuple(c["stops"])})
        for c in told["changes"]
    ]
    lists = ("roles", "files", "packages", "tasks", "together")
    hosts = [Host(**{**h, **{name: tuple(h[name]) for name in lists}}) for h in told["hosts"]]
    price = Price(**{**told["price"], "unknown": tuple(told["price"]["unknown"])}) if told["price"] else None
    plan = Plan(
        Origin(**told["origin"]),
        tuple(changes),
        tuple(told["undeclared"]),
        tuple(hosts),
        tuple(told["existing"]),
        tuple(told["as_left"]),
        price,
    )
    if plan.digest() != told["digest"]:
        raise ValueError("its digest is not that of what it says")
    return plan
