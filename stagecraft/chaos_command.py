"""The command that disturbs the building of a stage."""

from __future__ import annotations

import os
import secrets
from typing import Annotated

import typer
from rich.console import Console

from stagecraft.options import StageName
from stagecraft.stages import stage

console = Console(highlight=False)


def command(
    name: StageName = "",
    faults: Annotated[int, typer.Option(min=0, help="Injected faults of the cloud's API.")] = 1000,
    kills: Annotated[int, typer.Option(min=0, help="Moments of kill -9.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Draw what an earlier run drew; else something new.")] = None,
    machines: Annotated[bool, typer.Option(help="Kill in a whole rehearsal with machines instead (root).")] = False,
    within: Annotated[float, typer.Option(help="With --machines: seconds of a run in which a kill falls.")] = 90,
) -> None:
    """Disturb the building of a stage with faults and kills; it must converge, with nothing twice and nothing left."""
    chosen = stage(name)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported: it would write to standard error
    from stagecraft import chaos as drills  # here, because gRPC would make every other command start later
    from stagecraft import chaos_machines

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    seed = secrets.randbelow(1 << 32) if seed is None else seed
    say(f"seed {seed}: --seed {seed} draws the same")
    if machines:
        say(chaos_machines.kills(chosen, kills, seed, within, console))
    else:
        drills.run(chosen, faults_wanted=faults, kills_wanted=kills, seed=seed, say=say)
