"""Ansible against an emulated cloud, timed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.figures import timed
from rehearsal.cloud import server
from rehearsal.environment import OPERATORS
from stagecraft import rendered
from stagecraft.stages import Stage

OPERATION = 0.5  # seconds that the emulated cloud takes over an operation; a real one takes longer


@contextlib.contextmanager
def cloud(delay: float = OPERATION) -> Iterator[Any]:
    """An emulated cloud with nothing behind it, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        emulator = server.start(Path(folder), delay=delay)
        try:
            yield emulator
        finally:
            emulator.stop()


def environment(emulator: Any, **more: str) -> dict[str, str]:
    """The variables of a run, without anybody's cloud but this one."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("YC_", "ANSIBLE_"))}
    quiet = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "YC_METADATA_ADDR": "127.0.0.1:9"}
    return own | emulator.env | quiet | more


def ansible(program: str, *arguments: str, env: dict[str, str]) -> str:
    """Run a program of Ansible; its output. Raises RuntimeError with the end of it where that fails."""
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-3000:]}{done.stderr[-2000:]}")
    return done.stdout


def play(tasks: list[dict], env: dict[str, str]) -> float:
    """Seconds of a play with these tasks on the controller."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        json.dump([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}], file)
        file.flush()
        inventory = ("-i", str(ROOT / "inventories" / "partners" / "controller.yml"))
        return timed(lambda: ansible("ansible-playbook", *inventory, file.name, env=env))


def partners(env: dict[str, str]) -> dict[str, dict[str, dict]]:
    """The resources that the partners stage declares, by kind and name."""
    return rendered.resources(Stage("partners"), env | OPERATORS)
