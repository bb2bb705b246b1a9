"""What resources cost a month, exactly: no float, and nothing rounded before it is shown."""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stagecraft.cost.item import Item
from stagecraft.cost.kinds import FREE, KINDS, Charge
from stagecraft.cost.prices import Price, Prices
from stagecraft.stages import Refused, nearest

PROVIDER = "yandex"
CENT = Decimal("0.01")
EXACT = decimal.Context(prec=60, rounding=decimal.ROUND_HALF_UP)
Resources = dict[str, Any]  # by kind: a dictionary by name, or a list of declarations
Unknown = dict[str, list[str]]  # by kind and name: why something of it has no price


@dataclass(frozen=True)
class Line:
    """One charge of one resource: `amount` units, `billed` of them after what is free, and dollars, `vat` of them tax."""

    component: str
    kind: str
    name: str
    what: str
    amount: Decimal
    billed: Decimal
    price: Price
    dollars: Decimal
    vat: Decimal


@dataclass(frozen=True)
class Estimate:
    """What a stage costs a month, in dollars."""

    stage: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        with decimal.localcontext(EXACT):
            return sum((line.dollars for line in self.lines), Decimal(0))

    @property
    def vat(self) -> Decimal:
        """The tax in it."""
        with decimal.localcontext(EXACT):
            return sum((line.vat for line in self.lines), Decimal(0))

    def components(self) -> dict[str, Decimal]:
        """Dollars by component, the dearest first."""
        found: dict[str, Decimal] = {}
        with decimal.localcontext(EXACT):
            for line in self.lines:
                found[line.component] = found.get(line.component, Decimal(0)) + line.dollars
        return dict(sorted(found.items(), key=lambda one: -one[1]))


def estimate(
    stage: str, resources: Resources, usage: Resources, prices: Prices, unknown: Unknown | None = None
) -> Estimate:
    """The price of declared resources with what is assumed of their use.

    Raises Refused that names an unknown kind, an unknown price, a use that is not declared, and one of nothing that is.
    Where `unknown` is given, what these would say of a resource is written there, and nothing of it is counted but the rest.
    """
    lines: list[Line] = []
    spent: dict[str, Decimal] = {}  # what is free is free once, in the order of the declarations
    assumed = {kind: dict(named(stage, kind, given)) for kind, given in usage.items()}
    with decimal.localcontext(EXACT):
        for kind, declared in resources.items():
            if kind in FREE:
                continue
            if kind not in KINDS:
                for name in [name for name, _ in named(stage, kind, declared)] or [""]:
                    missing(unknown, f"{kind} {name}", without_price(stage, kind))
                assumed.pop(kind, None)
                continue
            of_kind = assumed.pop(kind, {})
            for name, one in named(stage, kind, declared):
                item = Item(stage, kind, name, one, of_kind.pop(name, {}))
                if one.get("state") != "absent":
                    lines += charged(item, prices, spent, unknown)
            superfluous(stage, kind, of_kind, [name for name, _ in named(stage, kind, declared)], unknown)
    for kind, left in assumed.items():
        superfluous(stage, kind, left, [], unknown)
    return Estimate(stage, tuple(lines))


def without_price(stage: str, kind: str) -> Refused:
    near = nearest(kind, [*KINDS, *FREE])
    return Refused(
        f"{stage}: nothing says what a {kind} costs{f' (the nearest is {near})' if near else ''}."
        " Name its prices, or that it has none, in stagecraft/cost/kinds.py.",
        2,
    )


def missing(unknown: Unknown | None, item: str, why: Refused) -> None:
    """Write down why something of an item has no price. Raises it where nobody keeps it."""
    if unknown is None:
        raise why
    unknown.setdefault(item, []).append(str(why))


def charged(item: Item, prices: Prices, spent: dict[str, Decimal], unknown: Unknown | None) -> Iterator[Line]:
    """The lines of one resource; `spent` is how much of each price's free units is used up, and grows."""
    kind = KINDS[item.kind]
    for name in item.usage:
        if name not in kind.usage:
            near = nearest(name, kind.usage)
            meant = f" Did you mean {near}?" if near else ""
            raise Refused(f"{item}: nothing is billed by {name}.{meant} Of use count: {', '.join(kind.usage)}.", 2)
    for charge in kind.charges:
        try:
            amount = charge.amount(item)
            price = priced(item, charge, prices) if amount else None
        except Refused as why:
            missing(unknown, f"{item.kind} {item.name}", why)
            continue
        if price is None:
            continue
        free = min(amount, price.free - spent.get(price.name, Decimal(0)))
        spent[price.name] = spent.get(price.name, Decimal(0)) + free
        dollars = prices.dollars((amount - free) * price.price / price.per, price.currency)
        vat = dollars - dollars * 100 / (100 + price.vat)
        yield Line(kind.component, item.kind, item.name, charge.what, amount, amount - free, price, dollars, vat)


def priced(item: Item, charge: Charge, prices: Prices) -> Price:
    """The price of a charge. Raises Refused where no list has it, or has it for another unit."""
    price = prices.find(PROVIDER, charge.price_of(item), f"{item}, {charge.what}")
    if price.unit != charge.unit:
        raise Refused(
            f"{price.place}: {price.name} is for a {price.unit}, and {item} is billed by the {charge.unit}.", 2
        )
    return price


def named(stage: str, kind: str, declared: Any) -> list[tuple[str, dict[str, Any]]]:
    """Declarations with their names, from both forms in which an inventory has them. Raises Refused for another one."""
    if declared is None:
        return []
    if isinstance(declared, dict) and all(isinstance(one, dict | None) for one in declared.values()):
        return [(str(name), one or {}) for name, one in declared.items()]
    if isinstance(declared, list) and all(isinstance(one, dict) for one in declared):
        rows = [(name_of(one), {field: value for field, value in one.items() if field != "name"}) for one in declared]
        if double := sorted({name for name, _ in rows if sum(1 for other, _ in rows if other == name) > 1}):
            raise Refused(f"{stage}: {kind} {double[0]} is there twice.", 2)
        return rows
    raise Refused(f"{stage}: {kind} has to be a dictionary by name, or a list of what has a name.", 2)


def name_of(declared: dict[str, Any]) -> str:
    return str(declared.get("name") or declared.get("registry") or "?")


def superfluous(stage: str, kind: str, left: Iterable[str], there: Iterable[str], unknown: Unknown | None) -> None:
    """Raises Refused, or writes down, where something is assumed of what is not declared: it would be of no effect."""
    for name in left:
        near = nearest(name, there)
        meant = f" Did you mean {near}?" if near else ""
        why = f"{stage}: usage names {kind} {name}, and the stage declares none of that name.{meant}"
        missing(unknown, f"{kind} {name}", Refused(why, 2))


def rounded(dollars: Decimal) -> Decimal:
    """To the cent, half up."""
    return dollars.quantize(CENT, decimal.ROUND_HALF_UP)
