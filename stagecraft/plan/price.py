"""What a plan makes of the stage's price: every resource as it is and as it would be, with the use that is assumed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from stagecraft.cost import prices as lists
from stagecraft.cost.budget import Budget, budget
from stagecraft.cost.estimate import Estimate, Resources, Unknown, estimate, rounded
from stagecraft.plan.model import Price
from stagecraft.stages import Refused

GONE = "{item}: what it costs now by its use is not known, because `usage` has it no longer."
Sides = dict[str, dict[str, Any]]  # by item: it as it is (`was`) and as it would be (`will_be`), None where it is not


def of_sides(stage: str, sides: Sides, declared: dict[str, Any]) -> Price:
    """The price before and after, of what the callback `stagecraft.platform.plan` wrote, with the `usage` and `budget` that
    the run declares. What cannot be counted is named in it: a plan is made all the same."""
    unknown: Unknown = {}
    lost: Unknown = {}
    try:
        prices, usage = lists.load(), declared.get("usage") or {}
        allowed = budget(stage, declared.get("budget"), prices)
        after = estimate(stage, by_kind(sides, "will_be"), usage, prices, unknown)
        before = estimate(stage, by_kind(sides, "was"), usage, prices, lost)
    except Refused as why:
        return Price("", "", "", None, {}, (str(why),))
    for item in [item for item in lost if item not in unknown and item in sides and sides[item]["was"] is not None]:
        unknown[item] = [GONE.format(item=item)] if sides[item]["will_be"] is None else lost[item]
    return compared(before, after, allowed, [line for lines in unknown.values() for line in lines])


def by_kind(sides: Sides, when: str) -> Resources:
    """The resources of one side as an inventory has them."""
    found: Resources = {}
    for item, both in sides.items():
        if both[when] is not None:
            kind, _, name = item.partition(" ")
            given = {field: value for field, value in both[when].items() if value not in (None, "")}
            found.setdefault(kind, {})[name] = given
    return found


def compared(before: Estimate, after: Estimate, allowed: Budget | None, unknown: Iterable[str]) -> Price:
    now, then = rounded(before.total), rounded(after.total)
    parts = {"now": before.components(), "then": after.components()}
    return Price(
        now=f"{now}",
        then=f"{then}",
        difference=f"{then - now:+}",
        budget=f"{allowed.monthly:.2f}" if allowed else None,
        components={
            name: {when: f"{rounded(parts[when].get(name, Decimal(0)))}" for when in parts}
            for name in dict.fromkeys([*parts["then"], *parts["now"]])
        },
        unknown=tuple(dict.fromkeys(unknown)),
    )


def picture(price: Price | None) -> str:
    """The chart of both sides on one scale, as SVG; nothing where there is no price."""
    if price is None or not price.then:
        return ""
    from stagecraft.cost import chart  # here, so that other commands start sooner

    allowed = Decimal(price.budget) if price.budget else None
    bars = [
        chart.Bar(when, {name: Decimal(one[when]) for name, one in price.components.items()}, Decimal(total), allowed)
        for when, total in (("now", price.now), ("then", price.then))
    ]
    return chart.svg(bars, one_scale=True)
