"""The pictures of stages: drawn into the documentation, or compared with what the stages declare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stagecraft import rendered, stages
from stagecraft.declarations import declared
from stagecraft.options import StageName
from stagecraft.rendered import RESOURCES
from stagecraft.schema import inventories
from stagecraft.stages import Refused, Stage, shown
from stagecraft.topology import drawing
from stagecraft.topology.declared import topology
from stagecraft.topology.model import Topology

IMAGES = Path("docs/images")  # from the checkout's root
# What only a person knows who builds the stage: the picture shows the words instead.
OPERATORS = "192.0.2.0/24"  # a network of documentation (RFC 5737)
PLACEHOLDERS = {"YC_FOLDER_ID": "<folder>", "STAGECRAFT_OPERATORS": OPERATORS}
EVERYWHERE = ("base",)  # roles of every machine


def command(
    name: StageName = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; else docs/images/<stage>.svg.")
    ] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Change nothing: fail where a picture is stale.")] = False,
) -> None:
    """Draw a stage: networks, machines, services, and who may talk to whom on which port."""
    console = Console(highlight=False)
    if check_only:
        chosen = [stages.stage(name)] if name else [Stage(one) for one in stages.names()]
        for one in chosen:
            check(one)
        console.print(f"{len(chosen)} pictures are of what the stages declare")
        return
    stage = declared(name)
    drawing.require()
    drawn = of(stage)
    file = output or stages.ROOT / IMAGES / f"{stage.name}.svg"
    file.write_text(drawing.svg(drawn) + "\n")
    console.print(
        f"{name}: drew {len(drawn.things)} things and {len(drawn.ways)} ways into {shown(file)}", soft_wrap=True
    )


def of(stage: Stage) -> Topology:
    """The topology that a stage declares. Raises Refused where its declarations cannot be read."""
    declared = rendered.resources(stage, PLACEHOLDERS)
    schema = json.loads((stages.ROOT / inventories.FOLDER / inventories.VARIABLES).read_text())
    if wrong := [said for *_, said in inventories.explained(schema, {RESOURCES: declared})]:
        raise Refused("\n".join([f"{stage.name} is not well declared:", *(f"  {line}" for line in wrong)]), 2)
    return topology(stage.name, declared, programs(stage), {OPERATORS: "operators"})


def svg(stage: Stage) -> str:
    """The picture of a stage as one `<svg>` element, for a page of HTML. Raises Refused."""
    return drawing.svg(of(stage))


def programs(stage: Stage) -> dict[str, tuple[str, ...]]:
    """What machines run, by their role: the files of the role's variables that are called as one of our roles."""
    known = {folder.name for folder in (stages.ROOT / "roles").iterdir()} - set(EVERYWHERE)
    files = sorted(stage.inventory.glob("group_vars/*/*.yml"))
    found: dict[str, tuple[str, ...]] = {}
    for file in (file for file in files if file.stem in known):
        found[file.parent.name] = (*found.get(file.parent.name, ()), file.stem.replace("_", " "))
    return found


def check(stage: Stage) -> None:
    """Raises Refused where the committed picture is not of what the stage declares; Graphviz is not needed for that."""
    file = stages.ROOT / IMAGES / f"{stage.name}.svg"
    found = drawing.DIGEST.search(file.read_text()) if file.exists() else None
    if found is None or found[1] != drawing.digest(of(stage)):
        what = "is not what the stage declares" if file.exists() else "is missing"
        raise Refused(f"{shown(file)} {what}. Run make topology STAGE={stage.name}, and commit it.")
