"""Secrets made anew, by as many runs of the stage's playbook as it takes."""

from __future__ import annotations

import yaml
from rich.console import Console

from stagecraft import playbooks
from stagecraft.stages import Refused, Stage
from stagecraft.target import Target

MOST = 4  # runs: no rotation has more steps, so something else is wrong


def check(stage: Stage, what: str) -> None:
    """Raises Refused where the stage's inventory declares no such rotation."""
    declared = yaml.safe_load((stage.inventory / "group_vars" / "all" / "secrets.yml").read_text())
    if what not in (known := ["all", *sorted(declared.get("rotations", {}))]):
        problem = f"{stage.name} cannot rotate {what}." if what else "Rotate what?"
        raise Refused(f"{problem} Say one of: {', '.join(known)}.", 2)


def rotate(target: Target, what: str, console: Console) -> tuple[int, float]:
    """Rotate one kind of secret of a stage; returns the runs that it took, and seconds. Raises Refused where a run fails.

    A rotation is kept in the secret store step by step, so that the next run goes on where one was interrupted.
    """
    seconds, variables = 0.0, dict[str, object](rotate=what)
    for step in range(1, MOST + 1):
        console.print(f"[bold]Rotate {what}, step {step}")
        outcome = playbooks.run(target, target.stage.playbook, console, variables)
        seconds += outcome.seconds
        rotating = outcome.told.get("rotating")
        if not rotating:
            return step, seconds
        variables = {"rotated": rotating}  # what was done in one step is not done again
    raise Refused(f"{target.stage.name}: {what} is still in rotation after {MOST} runs; see {outcome.log}.")
