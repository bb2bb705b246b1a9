"""What deletes something in the real cloud wants the stage's name once more."""

from __future__ import annotations

import sys

import typer

from stagecraft.stages import Refused
from stagecraft.target import Target


def confirmed(target: Target, confirm: str, what: str) -> None:
    """Raises Refused unless the person has named the stage once more; for a rehearsal, the command line is enough.

    `what` says what the command deletes, as in "deletes the stage and its data"."""
    name = target.stage.name
    if target.rehearsed:
        return
    if not confirm and sys.stdin.isatty():
        confirm = typer.prompt(f"This {what}, in the real cloud. Type {name} to go on")
    if confirm != name:
        raise Refused(
            f"Not done: this {what}, in {target.where}. To do it, say --confirm {name} too"
            f" (with make: ARGS='--where cloud --confirm {name}', and what else was in ARGS).",
            2,
        )
