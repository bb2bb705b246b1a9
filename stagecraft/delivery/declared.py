"""The variable `delivery` of a stage's inventory: read and checked, with the place of what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stagecraft import stages
from stagecraft.declarations import Loader, composed, pairs, place_of
from stagecraft.stages import Refused, Stage, nearest

VARIABLE = "delivery"
STAGE = re.compile(r"[a-z][a-z0-9-]*")  # a stage's name becomes that of jobs and environments
BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
URL = re.compile(r"https://[A-Za-z0-9.-]+(/[A-Za-z0-9._/-]*)?")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ROLLBACK = Path("playbooks/rollback.yml")


@dataclass(frozen=True)
class Delivery:
    """How one stage is delivered."""

    stage: str
    deploy: str
    branch: str = "main"
    image: bool = False
    rollback: bool = False
    url: str = ""
    runner: tuple[str, ...] = ()
    place: str = field(default="", compare=False)  # where it is declared

    @property
    def automatic(self) -> bool:
        return self.deploy == "automatic"


def text(pattern: re.Pattern[str], means: str) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"^({pattern.pattern})(?![\s\S])", "errorMessage": means}


SWITCH = {"type": "boolean", "errorMessage": "true or false"}
# key -> what fits, as JSON Schema, and what is said of something else
KEYS: dict[str, dict[str, Any]] = {
    "deploy": {"enum": ["automatic", "manual"], "errorMessage": "automatic (each commit of the branch) or manual"},
    "branch": text(BRANCH, "the name of a branch"),
    "image": SWITCH,
    "rollback": SWITCH,
    "url": text(URL, "an https:// address as it is: a pipeline fills in no variables"),
    "runner": {
        "type": "array",
        "items": text(LABEL, "a label of a runner"),
        "minItems": 1,
        "errorMessage": "a list of the labels (tags) of the runners that may take its jobs",
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "How a pipeline delivers the stage.",
    "properties": KEYS,
    "additionalProperties": False,
    "required": ["deploy"],
    "errorMessage": f"a mapping with the keys {', '.join(KEYS)}",
}


def fits(value: Any, schema: dict[str, Any]) -> bool:
    from jsonschema import Draft7Validator  # here, because it would make every other command start later

    return bool(Draft7Validator(schema).is_valid(value))


def of(stage: Stage) -> Delivery | None:
    """What a stage declares of its delivery; None where it declares nothing. Raises Refused with the place of a mistake."""
    found: list[tuple[Path, yaml.Node, yaml.Node]] = [
        (file, key, value)
        for file in sorted((stage.inventory / "group_vars" / "all").glob("*.yml"))
        for key, value in pairs(composed(file))
        if key.value == VARIABLE
    ]
    if not found:
        return None
    (file, key, value), *more = found
    for second, again, _ in more:
        raise Refused(f"{at(second, again)}: {VARIABLE} is here a second time; the first is at {at(file, key)}.", 2)
    if not STAGE.fullmatch(stage.name):
        raise Refused(f"{at(file, key)}: {stage.name} cannot name a job: use small letters, digits and hyphens.", 2)
    return parsed(stage, file, key, value)


def lacking(name: str) -> str:
    """What this checkout lacks for a job of that name; empty where it can do it."""
    if name == "rollback" and not (stages.ROOT / ROLLBACK).is_file():
        return str(ROLLBACK)
    makefile = (stages.ROOT / "Makefile").read_text()
    return "" if re.search(rf"^{name}:", makefile, re.MULTILINE) else f"`make {name}`"


def way_back(stage: Stage) -> Path:
    """The playbook by which a stage goes back to what served before. Raises Refused where it declares none."""
    delivery = of(stage)
    if not (delivery and delivery.rollback):
        raise Refused(f"{stage.name} declares no way back: {VARIABLE}.rollback is not true in its inventory.", 2)
    return stages.ROOT / ROLLBACK


def parsed(stage: Stage, file: Path, key: yaml.Node, value: yaml.Node) -> Delivery:
    if not isinstance(value, yaml.MappingNode):
        raise Refused(f"{at(file, value)}: {VARIABLE} has to be {SCHEMA['errorMessage']}.", 2)
    given: dict[str, Any] = {}
    for name_node, node in pairs(value):
        name, place = str(name_node.value), at(file, name_node)
        if name not in KEYS:
            near = nearest(name, KEYS)
            meant = f" Did you mean {near}?" if near else ""
            raise Refused(f"{place}: {VARIABLE} has no key {name}.{meant} There are: {', '.join(KEYS)}.", 2)
        given[name] = Loader("").construct_object(node, deep=True)
        if not fits(given[name], KEYS[name]):
            means = KEYS[name]["errorMessage"]
            raise Refused(f"{place}: {VARIABLE}.{name} is {given[name]!r}; it has to be {means}.", 2)
        if given[name] is True and (missing := lacking(name)):
            raise Refused(f"{place}: {VARIABLE}.{name} is true, but there is no {missing} to do it.", 2)
    if "deploy" not in given:
        raise Refused(f"{at(file, key)}: {VARIABLE}.deploy is missing: {KEYS['deploy']['errorMessage']}.", 2)
    runner = tuple(given.pop("runner", ()))
    return Delivery(stage.name, place=at(file, key), runner=runner, **given)


def everything() -> list[Delivery]:
    """The deliveries of this checkout: automatic ones first, then by name. Raises Refused where they do not fit together."""
    found = [delivery for name in stages.names() if (delivery := of(Stage(name)))]
    first: dict[str, Delivery] = {}
    for one in (one for one in found if one.automatic):
        if other := first.get(one.branch):
            raise Refused(
                f"{one.place}: the branch {one.branch} is deployed to {other.stage} automatically already ({other.place})."
                " Make one of the two manual, or give it another branch.",
                2,
            )
        first[one.branch] = one
    return sorted(found, key=lambda one: (not one.automatic, one.stage))


def at(file: Path, node: yaml.Node) -> str:
    return f"{stages.shown(file)}:{place_of(node)}"
