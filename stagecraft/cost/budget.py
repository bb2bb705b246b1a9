"""What a stage may cost, and what it was once thought to cost."""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from stagecraft import stages
from stagecraft.cost.estimate import Estimate, rounded
from stagecraft.cost.prices import DOLLAR, Prices
from stagecraft.declarations import composed, pairs, place_of
from stagecraft.stages import Refused

OVER_BUDGET = 3  # the exit code
PLANNED = Path("inventories/shared/first_estimates.yml")


@dataclass(frozen=True)
class Budget:
    """The most that a stage may cost a month, in dollars."""

    monthly: Decimal

    def exceeded(self, total: Decimal) -> bool:
        return rounded(total) > self.monthly


@dataclass(frozen=True)
class FirstEstimate:
    """What a stage was thought to cost a month when it was planned, in dollars, and why it costs something else."""

    monthly: Decimal
    why: str


def closing(estimate: Estimate, allowed: Budget | None) -> str:
    """`<stage>: <amount> USD a month, budget <amount>`."""
    most = f"{allowed.monthly:.2f}" if allowed else "none"
    return f"{estimate.stage}: {rounded(estimate.total)} {DOLLAR} a month, budget {most}"


def budget(stage: str, declared: Any, prices: Prices) -> Budget | None:
    """What `budget` declares; None where it is not there. Raises Refused for another currency, and for what is no amount."""
    if declared is None:
        return None
    fields = mapping(stage, "budget", declared, {"monthly"}, {"monthly", "currency"})
    monthly = amount(f"{stage}: budget.monthly", fields["monthly"])
    currency = str(fields.get("currency", DOLLAR))
    if currency != DOLLAR:
        worth = ""
        if rate := prices.rates.get(currency):
            dollars = rounded(prices.dollars(monthly, currency))
            worth = f" {monthly} {currency} are {dollars} {DOLLAR} by the rate of {rate.date}."
        raise Refused(
            f"{place(stage)}{stage}: budget.currency is {currency}; a budget is in {DOLLAR}, as the total is.{worth}", 2
        )
    return Budget(monthly)


def place(stage: str) -> str:
    """Where a stage declares its budget, as messages begin; nothing where no file of it does."""
    for file in sorted((stages.Stage(stage).inventory / "group_vars" / "all").glob("*.yml")):
        for key, _ in pairs(composed(file)):
            if key.value == "budget":
                return f"{stages.shown(file)}:{place_of(key)}: "
    return ""


def first_estimate(stage: str, declared: Any) -> FirstEstimate | None:
    """What `first_estimate` declares; None where it is not there. Raises Refused."""
    if declared is None:
        return None
    fields = mapping(stage, "first_estimate", declared, {"monthly", "why"}, {"monthly", "why"})
    return FirstEstimate(amount(f"{stage}: first_estimate.monthly", fields["monthly"]), str(fields["why"]).strip())


def planned() -> list[str]:
    """A line for each stage that was planned and has no inventory yet. Raises Refused."""
    file = stages.ROOT / PLANNED
    found = yaml.safe_load(file.read_text()) if composed(file) else {}
    missing = {name: first_estimate(name, given) for name, given in found.items() if name not in stages.names()}
    return [
        f"{name}: first thought to cost about {one.monthly} {DOLLAR}. It has no inventory yet, so no price. {one.why}"
        for name, one in missing.items()
        if one
    ]


def mapping(stage: str, name: str, declared: Any, needed: set[str], known: set[str]) -> dict[str, Any]:
    if not isinstance(declared, dict) or not needed <= set(declared) <= known:
        raise Refused(f"{stage}: {name} has to be a mapping with {' and '.join(sorted(known))}, not {declared!r}.", 2)
    return dict(declared)


def amount(where: str, value: Any) -> Decimal:
    try:
        found = Decimal(str(value))
    except decimal.InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0:
        raise Refused(f"{where} is {value!r}; it has to be an amount that is not negative.", 2)
    return found
