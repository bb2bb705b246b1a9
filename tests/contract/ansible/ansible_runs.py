"""What the tests of real Ansible runs share."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass
class Run:
    """What a run of Ansible did: its exit code, all that it printed, and the result of each task."""

    code: int
    output: str
    results: list[dict]


def command(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def stack(resources: list | dict, **options: object) -> dict:
    return {"stagecraft.platform.yc_stack": {"resources": resources, **options}}


def contents(**options: object) -> dict:
    return {"stagecraft.platform.yc_folder_contents": options}


def calls(cloud, pattern: str) -> list[dict]:
    """What the cloud was asked, by the end of a method's name."""
    return [entry for entry in cloud.journal.entries() if entry["method"].endswith(pattern)]


def marked(mark: str) -> list[tuple[int, bytes]]:
    """Processes of a run, known by their environment, whoever their parent is: ids and what others can see of each."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in seen and int(process.name) != os.getpid():
            found.append((int(process.name), seen))
    return found
