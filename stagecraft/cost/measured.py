"""What was used in a month, beside what the inventory assumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stagecraft.cost.estimate import Resources, named
from stagecraft.stages import Refused


def read(file: Path) -> Resources:
    """Use by kind and name, as `usage` has it, from YAML or JSON. Raises Refused."""
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{file}: this is no YAML: {' '.join(str(error).split())}.", 2) from None
    if not isinstance(found, dict):
        raise Refused(f"{file}: use has to be a dictionary by kind, in the form of `usage`.", 2)
    return found


def together(stage: str, assumed: Resources, measured: Resources) -> tuple[Resources, list[str]]:
    """What is assumed with what was measured in its place, and a line for each that is different."""
    merged: Resources = {kind: dict(named(stage, kind, given)) for kind, given in assumed.items()}
    lines = []
    for kind, given in measured.items():
        for name, used in named(stage, kind, given):
            before: dict[str, Any] = merged.setdefault(kind, {}).get(name, {})
            for what, value in used.items():
                if str(value) != str(before.get(what)):
                    lines.append(f"{kind} {name}: {what} was {value}, and {before.get(what, 'nothing')} is assumed")
            merged[kind][name] = before | used
    return merged, lines
