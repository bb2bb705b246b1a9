"""What a stage declares, for its price: its inventory, templated by Ansible in this process, kind by kind.

`stagecraft.rendered` has all of it, by a program of Ansible's; that takes longer than all else that a price needs.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from stagecraft import declarations, stages
from stagecraft.cost.kinds import FREE
from stagecraft.rendered import RESOURCES, UNMADE
from stagecraft.stages import Refused, Stage, nearest, unknown

USAGE, BUDGET, FIRST, MACHINES = "usage", "budget", "first_estimate", "machines"
# What a run adds to the inventory: nothing of it has a price.
RUN: dict[str, Any] = {"hostvars": {"localhost": {}}, "groups": {}, "ansible_check_mode": True, **UNMADE}


@dataclass(frozen=True)
class Declared:
    """The declarations of a stage that its price depends on. Kinds without a price are there without their content."""

    resources: dict[str, Any]
    usage: dict[str, Any]
    budget: Any
    first_estimate: Any


def read(stage: Stage, changes: Iterable[str] = ()) -> Declared:
    """The declarations of a stage, `changes` (`serving.preemptible=true`) made to them first.

    Raises Refused with the place of what is no YAML, with Ansible's words where a template cannot be filled in, and for a
    change of something that is not there.
    """
    files = sorted((stage.inventory / "group_vars" / "all").glob("*.yml"))
    for file in files:
        declarations.composed(file)
    os.environ["ANSIBLE_CONFIG"] = str(stages.ROOT / "ansible.cfg")  # before Ansible is imported: it reads it then
    from ansible.errors import AnsibleError  # here, because Ansible would make every other command start later
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar
    from ansible.utils.collection_loader import AnsibleCollectionConfig

    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader([str(stages.ROOT / "collections")])
    loader, variables = DataLoader(), dict[str, Any]()
    try:
        for file in files:
            variables |= loader.load_from_file(str(file), cache="none", trusted_as_template=True) or {}
        for change in changes:
            variables = changed(stage, variables, change)
        templar = Templar(loader=loader, variables=variables | RUN)
        declared = variables.get(RESOURCES)
        if declared is None:
            raise Refused(f"{stage.name} declares no {RESOURCES}: there is nothing to price.", 2)
        whole = by_kind(stage, declared if isinstance(declared, dict) else templar.template(declared))
        resources = {kind: {} if kind in FREE else templar.template(value) for kind, value in whole.items()}
        rest = {name: templar.template(variables.get(name)) for name in (USAGE, BUDGET, FIRST)}
    except AnsibleError as error:
        raise Refused(f"the declarations of {stage.name} cannot be read: {error}", 2) from None
    return checked(stage, resources, rest[USAGE], rest[BUDGET], rest[FIRST])


def checked(stage: Stage, resources: Any, usage: Any, budget: Any, first_estimate: Any = None) -> Declared:
    """Declarations whose templates are filled in. Raises Refused for what has another form."""
    if not isinstance(usage, dict | None):
        raise Refused(f"{stage.name}: usage has to be a dictionary by kind, not {usage!r}.", 2)
    return Declared(by_kind(stage, resources), usage or {}, budget, first_estimate)


def by_kind(stage: Stage, declared: Any) -> dict[str, Any]:
    """Declarations by kind, from both forms that the engine takes. Raises Refused for another one."""
    if isinstance(declared, dict):
        return {str(kind): given for kind, given in declared.items() if given is not None}
    found: dict[str, Any] = {}
    for n, entry in enumerate(declared if isinstance(declared, list) else [None], 1):
        if not isinstance(entry, dict) or len(entry) != 1:
            where = f" entry {n}" if isinstance(declared, list) else ""
            raise Refused(
                f"{stage.name}: {RESOURCES}{where} has to be a dictionary by kind, as in vpc_network: {{main: {{}}}}.",
                2,
            )
        ((kind, fields),) = entry.items()
        found.setdefault(str(kind), []).append(fields)
    return found


def changed(stage: Stage, variables: dict[str, Any], change: str) -> dict[str, Any]:
    """The variables with one change: a path from a variable, or from a role of `machines`, and its new value as YAML.

    Raises Refused for a path that leads to nothing: it would be of no effect.
    """
    path, given, text = change.partition("=")
    words = path.split(".")
    if not given or not all(words):
        raise Refused(f"--what-if {change}: say it as path=value, such as serving.preemptible=true.", 2)
    roles = variables.get(MACHINES)
    roles = roles if isinstance(roles, dict) else {}
    if words[0] not in variables:
        if words[0] not in roles:
            raise unknown(words[0], sorted([*variables, *roles]), f"variable or role of {stage.name}")
        words.insert(0, MACHINES)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise Refused(f"--what-if {change}: {text} is no value.", 2) from None
    made = copy.deepcopy(variables)
    place: Any = made
    for depth, word in enumerate(words[:-1], 1):
        place = member(place, word, f"--what-if {change}: {'.'.join(words[:depth])}")
    if not isinstance(place, dict):
        raise Refused(f"--what-if {change}: {'.'.join(words[:-1])} has no parts to change.", 2)
    optional = words[0] == MACHINES and len(words) == 3  # the filter that makes instances refuses what it does not know
    if words[-1] not in place and not optional:
        near = nearest(words[-1], place)
        raise Refused(
            f"--what-if {change}: {'.'.join(words[:-1])} has no {words[-1]}.{f' Did you mean {near}?' if near else ''}"
            f" There are: {', '.join(map(str, place))}.",
            2,
        )
    place[words[-1]] = value
    return made


def member(place: Any, word: str, where: str) -> Any:
    """A part by its key, or in a list by its name. Raises Refused."""
    if isinstance(place, list):
        place = {str(one.get("name")): one for one in place if isinstance(one, dict)}
    if not isinstance(place, dict) or word not in place:
        raise Refused(f"{where} is not there.", 2)
    return place[word]
