"""The hosts of the role tests: for each scenario one container for each Debian that its role's meta names."""

from __future__ import annotations

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
