"""Drift for a person at a terminal."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.markup import escape

from stagecraft.drift.model import Difference, Drift
from stagecraft.plan.words import value, visible

LOOKS = {"changed": ("~", "yellow"), "gone": ("-", "red"), "new": ("+", "magenta")}


def line(one: Difference) -> str:
    """`vpc_subnet a cidr: 10.0.0.0/24 → 10.0.1.0/24 (since …, by …)`."""
    field = f" {one.field}" if one.field else ""
    said = {"gone": "is gone", "new": "is new"}.get(one.what) or f"{value(one.old)} → {value(one.new)}"
    told = [
        f"since {one.since}" if one.since else "",
        f"by {one.by}" if one.by else "",
        "not declared, so a run leaves it" if one.left else "",
    ]
    when = ", ".join(filter(None, told))
    return f"{one.kind} {one.name}{field}: {said}{f' ({when})' if when else ''}"


def show(drift: Drift, console: Console) -> None:
    """Print the report; its last line is the closing one."""
    for where, rows in groupby(drift.differences, lambda one: one.where):
        console.print(visible(where), style="bold", markup=False)
        for one in rows:
            mark, style = LOOKS[one.what]
            console.print(f"  {mark} {escape(visible(line(one)))}", style=style, soft_wrap=True)
    for text in drift.unknown:
        console.print(f"? {escape(visible(text))}", soft_wrap=True)
    if drift.edited:
        console.print(
            f"the declarations may have been edited since (applied from {drift.commit[:12]}):"
            f" stagecraft plan {drift.stage} says what they change",
            soft_wrap=True,
        )
    if drift.differences:
        console.print(
            "a run brings back what is declared; the rest stays: undo it, declare it, or name it in drift_ignored",
            soft_wrap=True,
        )
    console.print(drift.closing(), style="bold", soft_wrap=True)
