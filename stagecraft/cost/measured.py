"""What was used in a month, beside what the inventory assumes."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from stagecraft.cost.estimate import Resources, named
from stagecraft.cost.item import HOURS
from stagecraft.stages import Refused

STANDARD = {"hours": HOURS}  # what is assumed where the inventory does not say it
LABELS = ("kind", "name", "use")  # of each series of an answer


def read(file: Path) -> Resources:
    """Use by kind and name, as `usage` has it, from YAML or JSON, or from Prometheus' answer to `usage.promql`; `-` is the
    standard input. Raises Refused."""
    try:
        found = yaml.safe_load(sys.stdin.read() if str(file) == "-" else file.read_text())
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.", 2) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{file}: this is no YAML: {' '.join(str(error).split())}.", 2) from None
    if not isinstance(found, dict):
        raise Refused(f"{file}: use has to be a dictionary by kind, in the form of `usage`.", 2)
    return of_prometheus(file, found) if "status" in found else found


def of_prometheus(file: Path, answer: dict[str, Any]) -> Resources:
    """Use from the answer to an instant query, a series a use. Raises Refused where it is an error, or says it otherwise."""
    if answer["status"] != "success":
        raise Refused(f"{file}: Prometheus could not answer: {answer.get('error', answer['status'])}", 2)
    used: Resources = {}
    try:
        for series in answer["data"]["result"]:
            kind, name, what = (series["metric"][label] for label in LABELS)
            amount = Decimal(series["value"][1])
            if amount.is_finite():  # it is not a number where nothing was seen
                used.setdefault(kind, {}).setdefault(name, {})[what] = f"{amount:f}"
    except (KeyError, TypeError, IndexError, InvalidOperation):
        raise Refused(
            f"{file}: an answer of Prometheus has to be that of an instant query, with the labels {', '.join(LABELS)}"
            " at each series. Ask it what inventories/shared/usage.promql says.",
            2,
        ) from None
    if not used:
        raise Refused(f"{file}: Prometheus has seen nothing of what was asked for.", 2)
    return used


def together(stage: str, assumed: Resources, measured: Resources) -> tuple[Resources, list[str]]:
    """What is assumed with what was measured in its place, and a line for each that is different."""
    merged: Resources = {kind: dict(named(stage, kind, given)) for kind, given in assumed.items()}
    lines = []
    for kind, given in measured.items():
        for name, used in named(stage, kind, given):
            before: dict[str, Any] = merged.setdefault(kind, {}).get(name, {})
            for what, value in used.items():
                assumed_before = before.get(what, STANDARD.get(what, "nothing"))
                if str(value) != str(assumed_before):
                    lines.append(f"{kind} {name}: {what} was {value}, and {assumed_before} is assumed")
            merged[kind][name] = before | used
    return merged, lines
