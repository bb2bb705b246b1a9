"""What so many hours of a stage cost, and the cap above which nothing is begun."""

from __future__ import annotations

import decimal
from decimal import Decimal

from stagecraft.cost import prices as lists
from stagecraft.cost import reading
from stagecraft.cost.budget import OVER_BUDGET
from stagecraft.cost.estimate import EXACT, estimate, rounded
from stagecraft.cost.item import HOURS
from stagecraft.cost.prices import DOLLAR
from stagecraft.stages import Refused, Stage


def price(stage: Stage, hours: Decimal) -> Decimal:
    """Dollars for so many hours, to the cent, by a stage's declarations and what they assume of its use. Raises Refused."""
    declared = reading.read(stage)
    with decimal.localcontext(EXACT):
        month = estimate(stage.name, declared.resources, declared.usage, lists.load()).total
        return rounded(month / HOURS * hours)


def capped(stage: Stage, hours: Decimal, cap: Decimal) -> str:
    """What it costs, in words. Raises Refused where that is above the cap."""
    dollars = price(stage, hours)
    told = f"{hours:f} hours of {stage.name} cost about {dollars} {DOLLAR}"
    if dollars > cap:
        raise Refused(
            f"{told}, more than the cap of {cap:f} {DOLLAR}. Nothing was touched."
            f" Raise it (--cap {dollars.to_integral_value(decimal.ROUND_CEILING)}), or say --hours for less.",
            OVER_BUDGET,
        )
    return told
