"""`python -m stagecraft.cost STAGE`: is it within its budget? What a playbook asks before it builds; it starts quickly.

The stage's `stage_resources`, `usage` and `budget` come as JSON on standard input, as the run has them.
"""

from __future__ import annotations

import json
import sys

from stagecraft import stages
from stagecraft.cost import prices as lists
from stagecraft.cost import reading
from stagecraft.cost.budget import OVER_BUDGET, budget, closing
from stagecraft.cost.estimate import estimate
from stagecraft.rendered import RESOURCES
from stagecraft.stages import Refused


def within_budget(name: str, text: str) -> str:
    """The closing line of the price of what a text declares of a stage. Raises Refused where that is over its budget, or
    cannot be counted."""
    stage, prices = stages.stage(name), lists.load()
    try:
        given = json.loads(text)
        declarations = [given[name] for name in (RESOURCES, reading.USAGE, reading.BUDGET)]
    except (ValueError, KeyError, TypeError):
        raise Refused("standard input has to be JSON with stage_resources, usage and budget.", 2) from None
    declared = reading.checked(stage, *declarations)
    found, allowed = (
        estimate(name, declared.resources, declared.usage, prices),
        budget(name, declared.budget, prices),
    )
    line = closing(found, allowed)
    if allowed and allowed.exceeded(found.total):
        raise Refused(
            f"{line}: it is over its budget, and nothing was touched. `make cost STAGE={name}` shows what is dear. Raise"
            f" budget.monthly in {stages.shown(stage.inventory)}/group_vars/all, or go on: -e over_budget=true.",
            OVER_BUDGET,
        )
    return line


if __name__ == "__main__":
    try:
        print(within_budget(sys.argv[1], sys.stdin.read()))
    except Refused as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.code) from None
