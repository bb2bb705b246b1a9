"""The schemas as files: written, or compared with what they should be; then the inventories against them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stagecraft import generated, sources, stages
from stagecraft.schema import inventories
from stagecraft.schema.options import Schema, schema
from stagecraft.stages import Refused


def command(
    check_only: Annotated[bool, typer.Option("--check", help="Change nothing: fail where a file is stale.")] = False,
) -> None:
    """Write the JSON Schema of inventories, by which editors complete, and check every inventory against it."""
    console = Console(highlight=False)
    wanted = schemas()
    for file in [*stale(wanted, check_only), *([] if check_only else name_schemas())]:
        console.print(f"wrote {file}")
    count = inventories.check(wanted)
    console.print(f"{count} files of {', '.join(stages.names())} fit the schema")


def schemas() -> dict[str, Schema]:
    """The schemas that there should be, by their files' names. Raises Refused where stages contradict each other."""
    from stagecraft.schema import variables  # here, because Jinja would make every other command start later

    plugin = {name: schema(option) for name, option in sorted(sources.described().items())}
    machines = {
        "$schema": variables.DRAFT,
        "title": f"Configuration of the inventory plugin {sources.PLUGIN}",
        "type": "object",
        "properties": plugin,
        "additionalProperties": False,
        "required": ["plugin"],
    }
    return {inventories.VARIABLES: variables.everything(), inventories.MACHINES: machines}


def name_schemas() -> list[Path]:
    """Write the first line of inventories that do not name their schema; returns which."""
    changed = [(file, name) for file, name in inventories.files().items() if inventories.unnamed(file, name)]
    for file, name in changed:
        rest = inventories.MODELINE.sub("", file.read_text())
        file.write_text(f"{inventories.modeline(file, name)}\n{rest}")
    return [stages.shown(file) for file, _ in changed]


def stale(wanted: dict[str, Schema], check_only: bool) -> list[Path]:
    """The files that were written anew. Raises Refused instead where only a check is wanted."""
    texts = {name: json.dumps(data, indent=1, ensure_ascii=False) + "\n" for name, data in wanted.items()}
    found = generated.stale({stages.ROOT / inventories.FOLDER / name: text for name, text in texts.items()})
    if check_only and found:
        raise Refused(
            f"{stages.shown(next(iter(found)))} is not what the engine takes. Run make schema, and commit it."
        )
    return generated.write(found)
