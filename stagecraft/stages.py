"""Which stages there are, and what a person meant who named one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Refused(Exception):
    """Bad input or a failed step: one message for the person, and the exit code."""

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Stage:
    """A stage is an inventory and the playbook of the same name."""

    name: str

    @property
    def inventory(self) -> Path:
        return ROOT / "inventories" / self.name

    @property
    def playbook(self) -> Path:
        return ROOT / "playbooks" / f"{self.name}.yml"


def import_collection() -> None:
    """Let this process import what the collection is made of, as ansible_collections.stagecraft.platform."""
    if (collections := str(ROOT / "collections")) not in sys.path:
        sys.path.append(collections)


def shown(file: Path) -> Path:
    """A file as messages call it: from the checkout's root where it lies in the checkout."""
    return file.relative_to(ROOT) if file.is_relative_to(ROOT) else file


def names() -> list[str]:
    """The stages of this checkout, by their declarations."""
    return sorted(p.parents[2].name for p in ROOT.glob("inventories/*/group_vars/all/stage.yml"))


def nearest(name: str, there: Iterable[str], likeness: float = 0.6) -> str:
    """The name that a person who mistyped may have meant, or nothing."""
    return next(iter(difflib.get_close_matches(name, sorted(there), 1, likeness)), "")


def unknown(name: str, there: Iterable[str], what: str) -> Refused:
    """The refusal of a name that is not there: `There is no <what> <name>`, the nearest, and all."""
    near = nearest(name, there)
    return Refused(
        f"There is no {what} {name}.{f' Did you mean {near}?' if near else ''} There are: {', '.join(there)}.", 2
    )


def stage(name: str) -> Stage:
    """The stage of that name. Raises Refused with the nearest name where there is none."""
    there = names()
    if not name:
        raise Refused(f"No stage named. Say which: STAGE=<stage>, one of {', '.join(there)}.", 2)
    if name not in there:
        raise unknown(name, there, "stage")
    return Stage(name)
