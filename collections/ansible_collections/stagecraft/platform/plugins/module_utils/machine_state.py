"""A machine's state by kind, name and field; what differs between what was recorded and what is, and since when."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ansible_collections.stagecraft.platform.plugins.module_utils import machine_state_accounts as accounts
from ansible_collections.stagecraft.platform.plugins.module_utils import machine_state_units as systemd
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_files import (
    Found,
    files,
    is_watched,
    owned,
    watched,
)
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_packages import MANUAL, packages
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_ports import ports

Things = dict[str, dict[str, dict[str, str]]]  # fields by kind and name
DEFAULTS = {"unit": systemd.DEFAULTS}  # a unit that is not named is there all the same
READABLE = 0o004  # by everybody; the content of other files is not told, not even by its checksum
SHORT = 8  # digits of a checksum


@dataclass(frozen=True)
class Difference:
    """A thing that is changed, gone or new; of a changed one, the field that is. `at` is in seconds since 1970, and `value`
    what the field has, as the record would have it."""

    kind: str
    name: str
    what: str
    field: str
    old: str
    new: str
    at: float | None
    value: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What is the same as long as nobody has changed it again."""
        return self.kind, self.name, self.what, self.field, self.value

    def row(self) -> dict[str, str]:
        """What the module returns of it."""
        shown = {"kind": self.kind, "name": self.name, "what": self.what, "field": self.field}
        return {**shown, "old": self.old, "new": self.new, "since": clock(self.at)}


@dataclass(frozen=True)
class Record:
    """What a machine should be as the last run left it. `kept` is what already was drift then, by key, with its time, and
    `inputs` the digest of what the roles read."""

    written: str
    things: Things
    kept: dict[tuple[str, ...], float] = field(default_factory=dict)
    inputs: str = ""


@dataclass(frozen=True)
class State:
    """What a machine is now, and which of its files trees own."""

    found: dict[str, Found]
    owned: set[str]

    @property
    def things(self) -> Things:
        return {kind: found.things for kind, found in self.found.items()}


def take(root: str, record: Record | None, units: str, journal: Callable[[str], float | None]) -> State:
    """The machine whose files are below `root`, as it is; of the files, those of trees, of the record and of watched
    folders. `units` and `journal` are as machine_state_units.units takes them. Raises TreeError for a damaged manifest."""
    mine = owned(root)
    paths = mine | watched(root) | {*(record.things if record else {}).get("file", {})}
    names = accounts.names(root, "etc/passwd"), accounts.names(root, "etc/group")
    return State(
        {
            "file": files(root, paths, *names),
            "group": accounts.groups(root),
            "package": packages(root),
            "port": ports(root),
            "unit": systemd.units(root, units, journal),
            "user": accounts.users(root),
        },
        mine,
    )


def compare(record: Record, now: State) -> list[Difference]:
    """What differs, in the order of kind, name and field."""
    found = []
    for kind, things in now.things.items():
        old = record.things.get(kind, {})
        for name in old.keys() | things.keys():
            found += differences(kind, name, old.get(name), things.get(name), now)
    known = (replace(one, at=record.kept[one.key]) if one.key in record.kept else one for one in found)
    return sorted(known, key=lambda one: (one.kind, one.name, one.field))


def differences(
    kind: str, name: str, old: dict[str, str] | None, new: dict[str, str] | None, now: State
) -> Iterator[Difference]:
    """What differs of one thing."""
    since = now.found[kind].since
    if kind in DEFAULTS:
        old, new = DEFAULTS[kind] | (old or {}), DEFAULTS[kind] | (new or {})
    if old is None or new is None:
        what, there = ("gone", old) if new is None else ("new", new)
        if counts(kind, name, what, there or {}, now):
            told = there["process"] if there and kind == "port" else ""
            yield Difference(
                kind, name, what, "", told if new is None else "", told if old is None else "", since(name, "")
            )
        return
    for one in old.keys() & new.keys():
        if is_drift(kind, one, old[one], new[one]):
            yield Difference(kind, name, "changed", one, *shown(one, old, new), since(name, one), new[one])


def counts(kind: str, name: str, what: str, there: dict[str, str], now: State) -> bool:
    """Whether it is drift that a thing came or went."""
    if kind == "package":  # others come and go with those that somebody asked for
        return there["installed"] == MANUAL
    return not (kind == "file" and what == "new" and name in now.owned)


def is_drift(kind: str, name: str, old: str, new: str) -> bool:
    """Whether it is drift that the field of this name has another value."""
    if kind == "unit" and name == "active":
        return systemd.is_drift(old, new)
    return old != new and kind != "package"


def shown(name: str, old: dict[str, str], new: dict[str, str]) -> tuple[str, str]:
    """The values of the field of this name, as a person may see them."""
    was, now = old[name], new[name]
    if name == "password":
        was, now = was.split()[0], now.split()[0]
        return was, "changed" if was == now else now
    if name == "active":
        return was.replace(systemd.QUIET, systemd.ACTIVE), now
    if name != "content":
        return was, now
    (old_digest, old_size), (new_digest, new_size) = was.split(), now.split()
    if not all(int(file["mode"], 8) & READABLE for file in (old, new)):
        return f"hidden ({old_size} bytes)", f"hidden, changed ({new_size} bytes)"
    return f"sha256:{old_digest[:SHORT]}… ({old_size} bytes)", f"sha256:{new_digest[:SHORT]}… ({new_size} bytes)"


def adopt(record: Record, now: State, written: str, began: float) -> Record:
    """The next record: the state now, but for what was drift when the last one was written, or had changed before `began`,
    whose recorded values are kept. What changed at a time that is not known is taken as it is."""
    found = compare(record, now)
    gone = {path for path in record.things.get("file", {}) if path not in now.owned and not is_watched(path)}
    kept = [one for one in found if one.at is not None and (one.at < began or one.key in record.kept)]
    kept = [one for one in kept if one.kind != "file" or one.name not in gone]
    things = copy.deepcopy(now.things)
    things["file"] = {path: file for path, file in things["file"].items() if path not in gone}
    for one in kept:
        old, new = record.things.get(one.kind, {}).get(one.name, {}), things[one.kind]
        if one.what == "new":
            del new[one.name]
        elif one.what == "gone":
            new[one.name] = old
        else:
            new.setdefault(one.name, {})[one.field] = {**DEFAULTS.get(one.kind, {}), **old}[one.field]
    return Record(written, things, {one.key: one.at for one in kept if one.at is not None})


def clock(at: float | None) -> str:
    """A time as it is told: in UTC, to the second; nothing where it is not known."""
    moment = None if at is None else datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
