"""Inventories against the schema: what is wrong, in which file and line, and what is allowed there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from stagecraft import stages
from stagecraft.schema.options import Schema
from stagecraft.schema.reading import place, values
from stagecraft.stages import Refused, nearest, shown

MODELINE = re.compile(r"\A# yaml-language-server: \$schema=(\S+)\n")
LONGEST = 60  # characters of a value in a message
FOLDER = Path("inventories/shared/schema")  # from the checkout's root
VARIABLES, MACHINES = "variables.json", "yc_compute.json"


def files() -> dict[Path, str]:
    """Every file of an inventory that has a schema, and the schema's name. What stages share is there once."""
    found: dict[Path, str] = {}
    for stage in map(stages.Stage, stages.names()):
        for folder in ("group_vars", "host_vars"):
            found |= dict.fromkeys((file.resolve() for file in (stage.inventory / folder).rglob("*.yml")), VARIABLES)
        found |= dict.fromkeys(stage.inventory.glob("*yc_compute.yml"), MACHINES)
    return dict(sorted(found.items()))


def check(schemas: dict[str, Schema]) -> int:
    """The number of files that fit. Raises Refused with all that is wrong in any of them."""
    found = files()
    wrong = [
        line for file, name in found.items() for line in (unnamed(file, name), *mistakes(file, schemas[name])) if line
    ]
    if wrong:
        raise Refused("\n".join([f"{len(wrong)} wrong in the inventories:", *(f"  {line}" for line in wrong)]), 2)
    return len(found)


def unnamed(file: Path, name: str) -> str:
    """What to say where the first line does not name the file's schema, by which editors check; else nothing."""
    found = MODELINE.match(file.read_text())
    if found and (file.parent / found[1]).resolve() == stages.ROOT / FOLDER / name:
        return ""
    return f"{shown(file)}:1: its first line has to be `{modeline(file, name)}`, for editors: `make schema` writes it."


def modeline(file: Path, name: str) -> str:
    way = (stages.ROOT / FOLDER / name).relative_to(file.parent, walk_up=True)
    return f"# yaml-language-server: $schema={way}"


def mistakes(file: Path, schema: Schema) -> list[str]:
    """A line for each value of a file that its schema does not allow: the place, what it is, what is allowed."""
    node, given = values(file)
    return [
        f"{shown(file)}:{place(node, path, key)}: {said}"
        for path, key, said in sorted(explained(schema, given), key=lambda one: [str(step) for step in one[0]])
    ]


def explained(schema: Schema, given: Any) -> Iterator[tuple[list[Any], Any, str]]:
    """(path, key, message) of all that is wrong with a value."""
    for error in validator(Source(schema)).iter_errors(given):
        path, rule = list(error.absolute_path), error.schema
        where = ".".join(map(str, path)) or "the file"
        if error.validator == "additionalProperties":
            for name in [name for name in error.instance if name not in rule["properties"]]:
                yield path, name, f"{where} has no option {name}.{allowed(str(name), rule['properties'])}"
        elif error.validator == "required":
            lacking = [name for name in error.validator_value if name not in error.instance]
            name = next(name for name in lacking if repr(name) in error.message)
            yield path, None, f"{where}: {name} is missing."
        elif error.validator == "dependencies":
            yield path, None, f"{where}: {error.message}."
        elif error.validator in ("not", "anyOf") and isinstance(error.instance, dict) and "enum" not in str(rule):
            yield path, None, f"{where}: it takes {rule['errorMessage']}."
        else:
            means = rule.get("errorMessage", "a mapping")
            yield path, None, f"{where} is {shortened(error.instance)}; it has to be {means}."


def allowed(name: str, there: Schema) -> str:
    near = nearest(name, there)
    return (f" Did you mean {near}?" if near else "") + f" There are: {', '.join(sorted(there))}."


def shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class Source:
    """A schema as a key: compiled once, however many files it is for."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and other.schema is self.schema


@cache
def validator(source: Source) -> Any:
    from jsonschema import Draft7Validator  # here, because it would make every other command start later

    return Draft7Validator(source.schema)
