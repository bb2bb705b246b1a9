"""A price list brought up to date in place: only what is different is written, and comments stay."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import yaml

from stagecraft.cost.importers import Published
from stagecraft.cost.prices import Price, at, top
from stagecraft.declarations import pairs
from stagecraft.stages import Refused

Find = Callable[[Price], Published | None]


def update(file: Path, entries: list[Price], find: Find, today: datetime.date) -> tuple[list[str], int, list[str]]:
    """Write what a provider publishes today into its list. Returns a line for each change, how many cost what they did, and
    the names of those that the provider's file does not have. Raises Refused, before anything is written, where a price
    comes in another unit or currency."""
    nodes = {key.value: node for key, node in pairs(top(file)["prices"])}
    edits: list[tuple[int, int, str]] = []
    lines, unchanged, missing = list[str](), 0, list[str]()
    for entry in entries:
        published = find(entry)
        if published is None:
            missing.append(entry.name)
            continue
        if not published.fits(entry.unit) or published.currency != entry.currency:
            raise Refused(
                f"{entry.place}: {entry.name} is in {entry.currency} for a {entry.unit}, and the provider sells it in"
                f" {published.currency} for a {published.unit}.",
                2,
            )
        new = {"price": published.price, "per": published.per, "free": published.free, "vat": published.vat}
        edits += changes(file, nodes[entry.name], new, today.isoformat())
        before, now = (f"{one.price / one.per:f} (free {one.free:f}, {one.vat:f} % VAT)" for one in (entry, published))
        if before == now:
            unchanged += 1
        else:
            lines.append(f"{entry.name}: {before} -> {now} {entry.currency} by the {entry.unit}")
    text = file.read_text()
    for start, end, written in sorted(edits, reverse=True):
        text = text[:start] + written + text[end:]
    file.write_text(text)
    return lines, unchanged, missing


def changes(file: Path, node: yaml.Node, new: dict[str, Decimal], date: str) -> list[tuple[int, int, str]]:
    """The places in a file's text (from, to) of an entry's fields, and what is to stand there."""
    if node.flow_style:
        raise Refused(f"{at(file, node)}: an entry on one line cannot be updated; write a field a line.", 2)
    there = {key.value: (key, value) for key, value in pairs(node)}
    defaults = {"per": Decimal(1), "free": Decimal(0)}
    found, added = [(*span(there["date"][1]), quoted(date))], ""
    for field, value in new.items():
        if field in there:
            found.append((*span(there[field][1]), quoted(f"{value:f}")))
        elif value != defaults[field]:
            added += f"\n{' ' * there['price'][0].start_mark.column}{field}: {quoted(f'{value:f}')}"
    place = span(there["price"][1])[1]
    return [*found, (place, place, added)] if added else found


def span(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.index, node.end_mark.index


def quoted(text: str) -> str:
    return f"'{text}'"
