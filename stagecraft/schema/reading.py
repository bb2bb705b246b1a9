"""An inventory's file as data, and where in it each value is written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from stagecraft.declarations import Loader, composed, pairs, place_of

TAGGED = "{{ tagged }}"  # stands for what only Ansible reads, such as !vault and !unsafe: a template as good as any


class Reader(Loader):  # type: ignore[misc]  # the library has no types
    """Values as the schema sees them: dates stay text, and Ansible's own tags stand for a template."""


Reader.add_multi_constructor("!", lambda loader, suffix, node: TAGGED)
Reader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)


def values(file: Path) -> tuple[yaml.Node | None, Any]:
    """The nodes and the values of a file. Raises Refused with the place where it is no YAML."""
    node = composed(file)
    return node, Reader("").construct_document(node) if node else None


def place(node: yaml.Node | None, path: Iterable[Any], key: Any = None) -> str:
    """`line:column` of the value at a path, or of one of its keys; as near as there is one."""
    at = node
    for step in path:
        if (found := below(at, step)) is None:
            break
        at = found[1]
    named = below(at, key) if key is not None else None
    chosen = named[0] if named else at
    return place_of(chosen) if chosen else "1:1"


def below(node: yaml.Node | None, step: Any) -> tuple[yaml.Node, yaml.Node] | None:
    """The key and the value of one step down; of a list the value is both."""
    if isinstance(node, yaml.SequenceNode):
        return (node.value[step], node.value[step]) if isinstance(step, int) and step < len(node.value) else None
    return next(((key, value) for key, value in pairs(node) if key.value == str(step)), None)
