"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stagecraft.target import Where, where_of

StageName = Annotated[str, typer.Argument(help="The stage: an inventory under inventories/.", show_default=False)]
What = Annotated[str, typer.Argument(help="What its `rotations` declare, such as ca; or all.", show_default=False)]
At = Annotated[
    Where | None,
    typer.Option(
        "--where",
        parser=where_of,
        metavar="rehearsal|cloud",
        help="By default the rehearsal if one is up, else the cloud.",
    ),
]
Machine = Annotated[str, typer.Argument(help="The machine, such as backend-1.", show_default=False)]
Confirm = Annotated[
    str, typer.Option(help="The stage's name once more: needed for what deletes something in the real cloud.")
]
Extra = Annotated[
    list[str] | None,
    typer.Option(
        "--extra-vars", "-e", metavar="KEY=VALUE", help="A variable of this run, as Ansible's own: lease_wait=20m."
    ),
]
PlanFile = Annotated[
    Path | None, typer.Option("--plan", help="Do what this plan says (`stagecraft plan --out`), or nothing.")
]
