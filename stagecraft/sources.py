"""The files of a stage's inventory that name its hosts: Ansible only warns of one that it cannot use, and goes on."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import yaml

from stagecraft.stages import ROOT, Refused, Stage, nearest, shown

PLUGIN = "stagecraft.platform.yc_compute"
LABEL = "stagecraft-stage"
PLUGINS = ROOT / "collections" / "ansible_collections" / "stagecraft" / "platform" / "plugins"
DOCUMENTATION = re.compile(r"^\s*DOCUMENTATION = r?\"\"\"\n(.*?)\"\"\"", re.DOTALL | re.MULTILINE)


def check(stage: Stage) -> None:
    """Raises Refused where the controller or the inventory plugin is missing or says what nothing reads."""
    for name, needed in (("controller.yml", True), ("yc_compute.yml", machines(stage))):
        if needed and not (stage.inventory / name).is_file():
            raise Refused(
                f"{shown(stage.inventory / name)} is missing: copy it from another stage (docs/howto/add-a-stage.md).",
                2,
            )
    for file in sorted(stage.inventory.glob("*yc_compute.y*ml")):
        check_plugin(stage, file, yaml.safe_load(file.read_text()) or {})


def machines(stage: Stage) -> bool:
    return (stage.inventory / "group_vars" / "all" / "machines.yml").is_file()


def check_plugin(stage: Stage, file: Path, given: Any) -> None:
    """Raises Refused where a file of the inventory plugin is for another one, for another stage, or has a slip in it."""
    if not isinstance(given, dict) or given.get("plugin") != PLUGIN:
        raise Refused(f"{shown(file)}: its first line has to be `plugin: {PLUGIN}`, else nobody reads it.", 2)
    known = options()
    for name in sorted(set(given) - known):
        near = nearest(str(name), known)
        raise Refused(f"{shown(file)}: {PLUGIN} has no option {name}." + (f" Did you mean {near}?" if near else ""), 2)
    filters = given.get("filters") or {}
    label = (filters.get("labels") or {}).get(LABEL, stage.name) if isinstance(filters, dict) else ""
    if label != stage.name:
        raise Refused(
            f"{shown(file)}: filters.labels.{LABEL} is {label!r}, so it shows no machine of {stage.name}: write that.",
            2,
        )


def options() -> set[str]:
    """The names of the plugin's options."""
    return set(described())


def described() -> dict[str, Any]:
    """What the plugin's documentation says of each option, with the fragments that it takes in."""
    ansible = importlib.util.find_spec("ansible")
    stock = Path((ansible.submodule_search_locations or [""])[0] if ansible else "") / "plugins" / "doc_fragments"
    own = documented(PLUGINS / "inventory" / "yc_compute.py")
    found = dict(own["options"])
    for fragment in own["extends_documentation_fragment"]:
        folder = PLUGINS / "doc_fragments" if "." in fragment else stock
        found |= documented(folder / f"{fragment.rpartition('.')[2]}.py")["options"]
    return found


def documented(file: Path) -> dict[str, Any]:
    found = DOCUMENTATION.search(file.read_text())
    return dict(yaml.safe_load(found[1])) if found else {"options": {}}
