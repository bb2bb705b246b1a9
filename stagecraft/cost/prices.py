"""The price lists: what a unit costs, in which currency, with how much tax, since when, and who says so."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from stagecraft import stages
from stagecraft.declarations import composed, pairs, place_of
from stagecraft.stages import Refused, nearest, shown

DOLLAR = "USD"  # what everything is added up in
FOLDER = Path("inventories/shared/prices")
RATES = "rates.yml"
NEEDED = ("price", "unit", "currency", "vat", "date", "source")
KNOWN = (*NEEDED, "per", "free", "sku", "match", "note")


@dataclass(frozen=True)
class Price:
    """`price` of the currency buys `per` units, `vat` percent of tax included; `free` units a month cost nothing."""

    provider: str
    name: str
    price: Decimal
    unit: str
    currency: str
    vat: Decimal
    date: datetime.date
    source: str
    per: Decimal = Decimal(1)
    free: Decimal = Decimal(0)
    sku: str = ""
    match: dict[str, str] = field(default_factory=dict, hash=False)
    note: str = ""
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class Rate:
    """How many units of a currency a dollar costs."""

    currency: str
    per_dollar: Decimal
    date: datetime.date
    source: str
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class Prices:
    """All price lists and rates."""

    prices: dict[tuple[str, str], Price]
    rates: dict[str, Rate]

    def find(self, provider: str, name: str, wanted: str) -> Price:
        """A price by its name. Raises Refused that names it, and `wanted`, what it is for: an unknown price is not zero."""
        if (found := self.prices.get((provider, name))) is None:
            near = nearest(name, [known for one, known in self.prices if one == provider])
            meant = f" The nearest is {near}." if near else ""
            raise Refused(f"{wanted}: {FOLDER}/{provider}.yml has no price {name}.{meant} Add it, with its source.", 2)
        return found

    def dollars(self, amount: Decimal, currency: str) -> Decimal:
        return amount if currency == DOLLAR else amount / self.rates[currency].per_dollar


def load(folder: Path | None = None) -> Prices:
    """Read every list of the folder. Raises Refused with the place of what is missing, negative, double or no number."""
    folder = folder or stages.ROOT / FOLDER
    rates = read_rates(folder / RATES)
    prices: dict[tuple[str, str], Price] = {}
    for file in sorted(folder.glob("*.yml")):
        for one in read(file, rates) if file.name != RATES else ():
            if first := prices.get((one.provider, one.name)):
                raise Refused(f"{one.place}: {one.name} is here a second time; the first is at {first.place}.", 2)
            prices[one.provider, one.name] = one
    return Prices(prices, rates)


def read_rates(file: Path) -> dict[str, Rate]:
    """The rates of a file, by currency. Raises Refused."""
    found = {}
    for key, node in pairs(top(file).get("rates")):
        place = at(file, key)
        fields = scalars(file, node, ("per_dollar", "date", "source"), ("per_dollar", "date", "source"))
        per_dollar = number(fields["per_dollar"], f"{place}: {key.value}.per_dollar")
        if not per_dollar:
            raise Refused(f"{place}: {key.value}.per_dollar is 0: nothing could be converted.", 2)
        found[key.value] = Rate(key.value, per_dollar, day(fields["date"], place), fields["source"], place)
    return found


def read(file: Path, rates: dict[str, Rate]) -> Iterator[Price]:
    """The prices of a list. Raises Refused."""
    parts = top(file)
    provider = parts.get("provider")
    if not isinstance(provider, yaml.ScalarNode):
        raise Refused(f"{shown(file)}: provider is missing: whose prices are these?", 2)
    for key, node in pairs(parts.get("prices")):
        place = at(file, key)
        fields = scalars(file, node, NEEDED, KNOWN)
        numbers: dict[str, Any] = {
            name: number(fields[name], f"{place}: {key.value}.{name}")
            for name in ("price", "vat", "per", "free")
            if name in fields
        }
        if numbers.get("per") == 0:
            raise Refused(f"{place}: {key.value}.per is 0: for how many units is the price?", 2)
        if fields["currency"] not in (DOLLAR, *rates):
            raise Refused(
                f"{place}: {key.value} is in {fields['currency']}, and {FOLDER / RATES} has no rate for it.", 2
            )
        yield Price(
            provider=str(provider.value), name=key.value, date=day(fields["date"], place), place=place,
            **{name: fields[name] for name in ("unit", "currency", "source", "sku", "match", "note") if name in fields},
            **numbers,
        )  # fmt: skip


def top(file: Path) -> dict[str, yaml.Node]:
    """The parts of a file by name. Raises Refused where it is no YAML or says a thing twice."""
    if not file.is_file():
        raise Refused(f"{shown(file)} is missing.", 2)
    return {key.value: node for key, node in pairs(composed(file))}


def scalars(file: Path, node: yaml.Node, needed: tuple[str, ...], known: tuple[str, ...]) -> dict[str, Any]:
    """An entry's fields as text, so that no number passes through a float. Raises Refused for a missing or unknown one."""
    if not isinstance(node, yaml.MappingNode):
        raise Refused(f"{at(file, node)}: an entry has to be a mapping with {', '.join(needed)}.", 2)
    found: dict[str, Any] = {}
    for key, value in pairs(node):
        if key.value not in known:
            near = nearest(key.value, known)
            meant = f" Did you mean {near}?" if near else ""
            raise Refused(f"{at(file, key)}: nothing reads {key.value}.{meant} There are: {', '.join(known)}.", 2)
        nested = isinstance(value, yaml.MappingNode)
        found[key.value] = {one.value: str(other.value) for one, other in pairs(value)} if nested else str(value.value)
    if missing := [name for name in needed if not found.get(name)]:
        raise Refused(f"{at(file, node)}: {missing[0]} is missing: an entry has {', '.join(needed)}.", 2)
    return found


def number(text: Any, where: str) -> Decimal:
    """Raises Refused for what is no number, and for a negative one."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise Refused(f"{where} is {text!r}, which is no number.", 2)
    if value < 0:
        raise Refused(f"{where} is {text}: a price cannot be negative.", 2)
    return value


def day(text: str, place: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{place}: date is {text!r}; write it as 2026-05-01.", 2) from None


def old(prices: Prices, today: datetime.date, days: int) -> list[Price | Rate]:
    """The prices and rates that are older than so many days, the oldest first."""
    every: list[Price | Rate] = [*prices.prices.values(), *prices.rates.values()]
    return sorted((one for one in every if (today - one.date).days > days), key=lambda one: one.date)


def at(file: Path, node: yaml.Node) -> str:
    return f"{shown(file)}:{place_of(node)}"
