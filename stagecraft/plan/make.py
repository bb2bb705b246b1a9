"""Make a plan: the stage's own playbook in check mode, and what it would change written down by a callback plugin."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from rehearsal import files
from stagecraft import lock, playbooks
from stagecraft.plan import model, price
from stagecraft.stages import ROOT, Stage, import_collection
from stagecraft.target import Target

PLAYBOOK = ROOT / "playbooks" / "plan.yml"
# With what a module was called, the callback knows which unit a handler restarts; secrets are masked there.
WATCHING = {"ANSIBLE_CALLBACKS_ENABLED": "stagecraft.platform.plan", "ANSIBLE_INJECT_INVOCATION": "true"}
ONLY_CLOUD = "--limit localhost --skip-tags machines"  # no machine is asked, and nothing is made for one


def origin(
    target: Target, variables: Mapping[str, object], *, cloud_only: bool, thorough: bool = False
) -> model.Origin:
    """From what a plan is made now."""
    folder, declared = target.environment().get("YC_FOLDER_ID", ""), declarations(target.stage)
    return model.Origin(
        target.stage.name, target.where, folder, commit(), declared, dict(variables), cloud_only, thorough
    )


def commit() -> str:
    """The commit that the checkout is at, as a record has it."""
    import_collection()
    from ansible_collections.stagecraft.platform.plugins.action.yc_lease import described  # takes half a second

    return str(described(str(ROOT))).removesuffix("-dirty")


def make(made_from: model.Origin, target: Target, console: Console) -> model.Plan:
    """Ask what would change; nothing is changed. Raises Refused where the check fails."""
    folder, variables = lock.scratch(target.folder), dict(made_from.variables)
    if made_from.thorough:
        variables["thorough"] = True
    told = folder / "plan.json"
    watched = replace(target, variables={**target.variables, **WATCHING, "STAGECRAFT_PLAN_FILE": str(told)})
    try:
        outcome = playbooks.run(
            watched, PLAYBOOK, console, variables, f"--check --diff {limit(made_from)}", quietly=True
        )
        written = files.read_json(told, target.stage.name)
        priced = price.of_sides(target.stage.name, written["sides"], outcome.told)
        return replace(model.of_check(made_from, written), price=priced)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def limit(made_from: model.Origin) -> str:
    """The option of Ansible that keeps a run to what the plan is about."""
    return ONLY_CLOUD if made_from.cloud_only else ""


def declarations(stage: Stage) -> str:
    """The digest of what the inventory of a stage says, and of what all stages share."""
    shared = stage.inventory.parent / "shared"
    found = sorted(path for folder in (stage.inventory, shared) for path in folder.rglob("*") if path.is_file())
    return model.digest([[str(path.relative_to(ROOT)), content(path)] for path in found])


def content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
