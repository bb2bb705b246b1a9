"""How long a plan is likely to keep a part of the stage from answering: an estimate, from what each kind of step takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stagecraft.plan.model import MACHINE, Change, Plan

RESTART = 5  # seconds until a unit answers again
STOPPED = 90  # a machine that is stopped, changed and started
NEW = 300  # a machine that is deleted and made again, until its roles have converged
# What the cloud runs and clients talk to, in seconds: with another preset, and made again.
PRESET = {"postgresql_cluster": 120}
AGAIN = {"postgresql_cluster": 900, "serverless_container": 30, "api_gateway": 60}
SILENT = re.compile(r"^systemd-|\.timer$")  # units that nobody waits for an answer of
NUMBER = re.compile(r"-\d+$")  # machines of one role are numbered


@dataclass(frozen=True)
class Outage:
    """A part that does not answer for about so many seconds; none where others like it do meanwhile."""

    what: str
    seconds: int
    unit: bool = False  # these are away one after the other
    gone: bool = False  # it does not come back


def outages(plan: Plan) -> list[Outage]:
    """What would be away, and for how long. Machines are stopped at once, so those of one role are away together."""
    return [*machines(plan), *services(plan), *units(plan)]


def machines(plan: Plan) -> list[Outage]:
    changes = {change.item.partition(" ")[2]: change for change in of_kinds(plan, {MACHINE})}
    away = {name: took(change) for name, change in changes.items() if took(change)}
    gone = deleted(plan)
    found = [
        Outage(f"{name}: {'a new machine' if seconds == NEW else 'stopped and started'}", seconds * alone)
        for name, seconds in away.items()
        for alone in [not (peers(name, plan) - away.keys())]
    ]
    for name in sorted(name for name in gone if not peers(name, plan)):
        others = [other for other, change in changes.items() if change.action == "create" and role(other) == role(name)]
        if others:
            found.append(Outage(f"{name}: deleted, until {others[0]} is there", NEW))
        else:
            found.append(Outage(f"{name}: deleted, the last of its role", 0, gone=True))
    return found


def services(plan: Plan) -> list[Outage]:
    """What the cloud runs itself."""
    found = []
    for change in of_kinds(plan, {*PRESET, *AGAIN}):
        kind = change.item.partition(" ")[0]
        if change.action == "replace" and kind in AGAIN:
            found.append(Outage(f"{change.item}: made again", AGAIN[kind]))
        elif change.action == "delete":
            found.append(Outage(f"{change.item}: deleted", 0, gone=True))
        elif kind in PRESET and any(field.path == "preset" for field in change.fields):
            found.append(Outage(f"{change.item}: another preset", PRESET[kind]))
    return found


def units(plan: Plan) -> list[Outage]:
    """Units that restart. In a play that takes its machines one by one, the others serve meanwhile."""
    restarts = {(host.name, unit) for host in plan.hosts for unit, verb in host.units.items() if verb == "restart"}
    at_once = {(host.name, unit) for host in plan.hosts for unit in host.together} & restarts
    found = []
    for name, unit in sorted(one for one in restarts if not SILENT.search(one[1])):
        here = (name, unit) in at_once
        serving = {other for other in peers(name, plan) if not (here and (other, unit) in at_once)}
        found.append(Outage(f"{name}: {unit} restarts", 0 if serving else RESTART, unit=True))
    return found


def of_kinds(plan: Plan, kinds: set[str]) -> list[Change]:
    return [change for change in plan.changes if change.item.partition(" ")[0] in kinds]


def took(change: Change) -> int:
    if change.action == "replace":
        return NEW
    return STOPPED if change.stops else 0


def role(name: str) -> str:
    return NUMBER.sub("", name)


def deleted(plan: Plan) -> set[str]:
    return {change.item.partition(" ")[2] for change in of_kinds(plan, {MACHINE}) if change.action == "delete"}


def peers(name: str, plan: Plan) -> set[str]:
    """The other machines of the same role that there are, and that stay."""
    return {other for other in {*plan.existing} - deleted(plan) if other != name and role(other) == role(name)}


def total(plan: Plan) -> int:
    """Seconds until everything that comes back has: machines and services change side by side, each unit restarts in turn.

    A unit that restarts on several machines at once counts once."""
    found = outages(plan)
    restarts = {one.what.partition(": ")[2]: one.seconds for one in found if one.unit and one.seconds}
    return sum(restarts.values()) + max((one.seconds for one in found if not one.unit), default=0)
