#!/usr/bin/env python3
"""Inventory of the role tests: one group a scenario, in it one container for each Debian that its role's meta names."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

from rehearsal.world.images import FAMILIES

ROOT = Path(__file__).parents[2]


def families(scenario: str) -> list[str]:
    """The image families that a scenario runs on: what its role supports, all where it has no role."""
    meta = ROOT / "roles" / scenario / "meta" / "main.yml"
    if not meta.exists():
        return list(FAMILIES)
    platforms = yaml.safe_load(meta.read_text())["galaxy_info"]["platforms"]
    supported = {suite for platform in platforms for suite in platform["versions"]}
    return [family for family, recipe in FAMILIES.items() if recipe.suite in supported]


def hosts(scenario: str, wanted: list[str]) -> dict[str, str]:
    """Image families by container: the first family's container has the scenario's name, others their release too."""
    name, first = f"sc-molecule-{scenario.replace('_', '-')}", next(iter(FAMILIES))
    return {
        name if family == first else f"{name}-{family.rpartition('-')[2]}": family
        for family in families(scenario)
        if family in wanted
    }


def inventory(wanted: list[str]) -> dict[str, object]:
    """What `ansible-inventory --list` of this script is."""
    scenarios = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    groups = {scenario: hosts(scenario, wanted) for scenario in scenarios if scenario != "default"}
    variables = {host: {"molecule_image": family} for group in groups.values() for host, family in group.items()}
    return {scenario: {"hosts": list(group)} for scenario, group in groups.items()} | {"_meta": {"hostvars": variables}}


if __name__ == "__main__":
    print(json.dumps(inventory(os.environ.get("STAGECRAFT_MOLECULE_OS", ",".join(FAMILIES)).split(","))))
