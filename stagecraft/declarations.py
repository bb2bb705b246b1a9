"""What a stage's inventory declares, looked at before anything runs: its YAML, doubled keys, variables that nobody reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from stagecraft import sources, stages
from stagecraft.stages import ROOT, Refused, Stage, nearest

READERS = ("roles", "playbooks", "collections", "inventories")  # where a variable may be read
SUFFIXES = {".yml", ".j2", ".py"}
NEAR = 0.8  # below that likeness, a name that nothing reads is somebody's own and not a slip
WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]+")
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def declared(name: str) -> Stage:
    """The stage of that name, after its inventory was looked at. Raises Refused before anything is touched."""
    found = stages.stage(name)
    check(found)
    return found


def check(stage: Stage) -> None:
    """Raises Refused with file, line and column of what is wrong in the inventory of a stage, and the nearest name."""
    refuse_slips([name for file in sorted(stage.inventory.rglob("*.yml")) for name in variables(file)], 2)
    sources.check(stage)


def refuse_slips(named: list[tuple[str, str]], own: int) -> None:
    """Raises Refused for a variable, given with its place, named in fewer than `own` places, and like one that is read."""
    words = read()
    for where, name in named:
        if (
            not name.startswith("ansible_")
            and words.get(name, 0) < own
            and (near := nearest(name, set(words) - {name}, NEAR))
        ):
            raise Refused(f"{where}: nothing reads {name}. Did you mean {near}?", 2)


def variables(file: Path) -> list[tuple[str, str]]:
    """The variables that a file of group_vars declares, with their places. Raises Refused where it is no YAML."""
    shown = file.relative_to(ROOT)
    if not {"group_vars", "host_vars"} & set(shown.parts):
        composed(file)
        return []
    return [(f"{shown}:{place_of(key)}", key.value) for key, _ in pairs(composed(file))]


def composed(file: Path) -> yaml.Node | None:
    """A file's YAML with its places, None where it is empty. Raises Refused where it is no YAML or has a key twice."""
    shown = file.relative_to(ROOT)
    try:
        top = yaml.compose(file.read_text(), Loader)
    except yaml.MarkedYAMLError as error:
        mark, what = error.problem_mark or error.context_mark, " ".join(filter(None, (error.context, error.problem)))
        raise Refused(f"{shown}:{mark.line + 1}:{mark.column + 1}: this is no YAML: {what}.", 2) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{shown}: this is no YAML: {error}.", 2) from None
    for place, what in doubled(top) if top else ():
        raise Refused(f"{shown}:{place}: {what}", 2)
    return top


def pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """The keys and values of a mapping; none where it is something else."""
    return node.value if isinstance(node, yaml.MappingNode) else []


def place_of(node: yaml.Node) -> str:
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def doubled(node: yaml.Node) -> Iterator[tuple[str, str]]:
    """Keys that a mapping has twice: YAML would quietly take the last one."""
    seen: dict[str, str] = {}
    for item in node.value if isinstance(node, yaml.CollectionNode) else ():
        key, value = item if isinstance(item, tuple) else (None, item)
        if isinstance(key, yaml.ScalarNode):
            if first := seen.get(key.value):
                yield place_of(key), f"{key.value} is here a second time; the first is at {first}."
            seen[key.value] = place_of(key)
        yield from doubled(value)


def read() -> dict[str, int]:
    """The words of everything that could read a variable, and how often each is there."""
    found: dict[str, int] = {}
    for folder in READERS:
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in SUFFIXES and "changelogs" not in file.parts and file.is_file():
                for word in WORD.findall(file.read_bytes()):
                    found[word.decode()] = found.get(word.decode(), 0) + 1
    return found
