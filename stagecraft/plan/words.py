"""A plan in words that every form of the report shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from stagecraft.plan import downtime
from stagecraft.plan.model import CONTROLLER, Change, Field, Host, Plan
from stagecraft.progress import clock

LONGEST = 160  # characters of a value; the JSON has the whole of it
OURS = ("stagecraft-stage", "stagecraft-app")  # labels that everything carries
VERBS = {"start": "starts", "restart": "restarts", "reload": "reloads", "stop": "stops", "change": "changes"}


def visible(text: str) -> str:
    """Text in which what a terminal would obey, and what cannot be seen, is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def value(given: Any) -> str:
    """A value on one line, as YAML has it."""
    if given is None:
        return "(nothing)"
    text = given if isinstance(given, str) and given else flow(given)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def flow(given: Any) -> str:
    text = yaml.safe_dump(given, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return str(text).removesuffix("\n...\n")


def edit(field: Field) -> str:
    """`max_size: 50GB → 60GB`; what is only new, or only gone, without the other half."""
    if field.old == field.new:
        return f"{field.path}: {value(field.new)}, sent again"
    if field.old is None:
        return f"{field.path}: + {value(field.new)}"
    if field.new is None:
        return f"{field.path}: - {value(field.old)}"
    return f"{field.path}: {value(field.old)} → {value(field.new)}"


def wanted(change: Change) -> list[str]:
    """What a new resource is declared with, without the labels that everything carries."""
    labels = {k: v for k, v in (change.wanted.get("labels") or {}).items() if k not in OURS}
    shown = {**change.wanted, "labels": labels}
    return [f"{name}: {value(one)}" for name, one in shown.items() if one not in ({}, [], "", None)]


def details(change: Change) -> list[str]:
    """The lines below a change."""
    lines = [edit(field) for field in change.fields]
    lines += [f"it is stopped for {', '.join(change.stops)}, and started again"] if change.stops else []
    return lines or wanted(change)


def on_host(host: Host) -> list[str]:
    """What would change on a machine, a line a kind of thing."""
    if host.new:
        return [f"does not exist yet; gets {', '.join(host.roles) or 'no role'}"]
    lines = [f"{unit} {VERBS[verb]}" for unit, verb in host.units.items()]
    lines += [f"packages: {', '.join(host.packages)}"] if host.packages else []
    return lines + [f"file {path}" for path in host.files] + [f"task: {task}" for task in host.tasks]


def called(host: Host) -> str:
    return "this controller" if host.name == CONTROLLER else host.name


def away(plan: Plan) -> str:
    """The estimated downtime in one line; nothing where nothing stops."""
    found = downtime.outages(plan)
    if not found:
        return ""
    parts = [f"{one.what} ({for_how_long(one)})" for one in found]
    return f"estimated downtime: {clock(downtime.total(plan))}: {'; '.join(parts)}"


def for_how_long(outage: downtime.Outage) -> str:
    if outage.gone:
        return "for good"
    return f"about {clock(outage.seconds)}" if outage.seconds else "others serve meanwhile"


def price(plan: Plan) -> str:
    """What the stage would cost a month, and what it costs now; nothing where nothing would be done."""
    found = plan.price
    if found is None or plan.empty or not found.then:
        return ""
    difference = (
        f"{found.difference}, {found.now} → {found.then}" if found.now != found.then else f"{found.then}, as now"
    )
    allowed = f", budget {found.budget}" if found.budget else ""
    return f"price in {found.currency} a month: {difference}{allowed}"


def unpriced(plan: Plan) -> str:
    """What the price lacks or does not need, and why."""
    found = plan.price
    return f"about the price: {' '.join(found.unknown)}" if found and found.unknown and not plan.empty else ""


def as_left(plan: Plan) -> str:
    """The machines that were asked once, because nothing has changed of them."""
    names = ", ".join(plan.as_left)
    return f"as the last run left them, so that no role went through them: {names}" if names else ""


# Each says one thing of the whole plan in a line, or nothing.
REMARKS: tuple[Callable[[Plan], str], ...] = (as_left, away, price, unpriced)


def remarks(plan: Plan) -> list[str]:
    return [line for remark in REMARKS if (line := remark(plan))]
