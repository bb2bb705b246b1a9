"""What the roles of this project would read on a host, as one digest."""

from __future__ import annotations

DOCUMENTATION = r"""
name: role_inputs
short_description: A digest of all that roles read on a host
description:
  - Gives one SHA-256 of the variables of the host that are named after a role of this collection (C(nginx_backends) after
    C(nginx)), with their templates filled in, of its groups, of the roles and plugins themselves, and of Ansible's version.
    Where a value is the path of a file of the controller, the file's content counts.
  - What was applied with the same digest would be applied again. That nobody has changed it on the host meanwhile is what
    M(stagecraft.platform.machine_state) knows.
  - A variable that cannot be filled in counts as it is written.
author: Stagecraft
options:
  _terms:
    description: Further files and folders of the controller that count, such as the playbooks.
    type: list
    elements: path
"""

EXAMPLES = r"""
- name: Record what the run has made, and with what
  stagecraft.platform.machine_state:
    state: recorded
    inputs: "{{ lookup('stagecraft.platform.role_inputs', playbook_dir) }}"
"""

RETURN = r"""
_raw:
  description: The digest, in hexadecimal.
  type: list
  elements: str
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.release import __version__

COLLECTION = Path(__file__).parents[2]
CODE = ("plugins", "roles")
BESIDE = (
    ".",
    "__pycache__",
    "tests",
)  # what is left beside the code by those who work on it, and tells no role anything
ALWAYS = ("ansible_user", "group_names", "inventory_hostname")


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        names = sorted(named(variables or {}, [folder.name for folder in (COLLECTION / "roles").iterdir()]))
        values = {name: self._filled((variables or {})[name]) for name in names}
        folders = [*(COLLECTION / name for name in CODE), *map(Path, terms)]
        return [digest([__version__, values, contents(folders), contents(paths(values))])]

    def _filled(self, value):
        try:
            return self._templar.template(value)
        except AnsibleError:  # as on a host that lacks what it needs: no role reads it there
            return str(value)


def named(variables: Iterable[str], roles: Iterable[str]) -> Iterator[str]:
    """The variables that roles read: those after the name of one, and what every host has."""
    prefixes = tuple(f"{role}_" for role in roles)
    return (name for name in variables if name in ALWAYS or name.startswith(prefixes))


def paths(value: Any) -> Iterator[Path]:
    """The files of the controller that a value names, however deep."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from paths(one)
    elif isinstance(value, str) and value.startswith("/") and "\n" not in value:
        path = Path(value)
        if path.is_file():
            yield path


def contents(places: Iterable[Path]) -> list[list[str]]:
    """The files in these places with the digests of their contents."""
    found = sorted({file for place in places for file in (inside(place) if place.is_dir() else [place])})
    return [[str(file), hashlib.sha256(file.read_bytes()).hexdigest()] for file in found]


def inside(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and not any(part.startswith(BESIDE) for part in file.relative_to(folder).parts):
            yield file


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
