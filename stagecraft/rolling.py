"""Machines changed or replaced one at a time, while the others of their role serve."""

from __future__ import annotations

from typing import Any

import yaml
from rich.console import Console

from stagecraft import playbooks
from stagecraft.stages import ROOT, Refused, Stage, import_collection, unknown
from stagecraft.target import Target

PLAYBOOK = ROOT / "playbooks" / "roll.yml"


def machines(stage: Stage, what: str) -> list[str]:
    """The machines that a person means by a role or a machine's name. Raises Refused with the nearest name."""
    path = stage.inventory / "group_vars" / "all" / "machines.yml"
    declared: dict[str, Any] = yaml.safe_load(path.read_text())["machines"] if path.exists() else {}
    if not declared:
        raise Refused(f"{stage.name} declares no machines, so there is nothing to roll.", 2)
    import_collection()
    from ansible.errors import AnsibleFilterError  # here, because Ansible would make every other command start later
    from ansible_collections.stagecraft.platform.plugins.filter.stage import machine_names

    try:
        roles: dict[str, list[str]] = {role: machine_names({role: one}) for role, one in declared.items()}
    except AnsibleFilterError as error:
        raise Refused(f"{path}: {error}", 2) from None
    known = roles | {name: [name] for names in roles.values() for name in names}
    if what not in known:
        if not what:
            raise Refused(f"Roll what? Say a role or a machine of {stage.name}: {', '.join(known)}.", 2)
        raise unknown(what, list(known), "role or machine")
    return known[what]


def roll(target: Target, names: list[str], replace: bool, console: Console) -> tuple[list[str], float]:
    """Bring machines to their declaration, one after the other; returns those that were changed, and seconds.

    Raises Refused at the first that fails, so that the others go on serving as they are.
    """
    rolled, seconds = list[str](), 0.0
    for name in names:
        console.print(f"[bold]Roll {name}")
        outcome = playbooks.run(target, PLAYBOOK, console, {"machine": name, "replace": replace})
        seconds += outcome.seconds
        rolled += outcome.told["rolled"]
    return rolled, seconds
