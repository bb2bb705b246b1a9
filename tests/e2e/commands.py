"""The commands that a person types, and what they leave behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal import lifecycle, places

ROOT = Path(__file__).resolve().parents[2]


def a_machine_of_our_own(stage: str, folder: Path) -> Iterator[None]:
    """A state folder of the test's own, and nothing left behind whatever happens."""
    if lifecycle.leftovers(places.Place(stage)):
        pytest.fail(f"a rehearsal of {stage} is up: end it first (make down STAGE={stage})")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STAGECRAFT_STATE", str(folder))
        yield
        lifecycle.down(places.Place(stage))


def stagecraft(*arguments: str, timeout: int = 1500) -> str:
    """Run the command as a person would; its output. Fails with that output when the command does."""
    done = subprocess.run(
        [sys.executable, "-m", "stagecraft", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr, flush=True)
    assert done.returncode == 0, f"stagecraft {' '.join(arguments)}: {done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def journal(stage: str) -> str:
    """Every call that a rehearsed stage's cloud has answered, one JSON object a line; nothing where it has gone."""
    path = places.Place(stage).cloud / "journal.jsonl"
    return path.read_text() if path.exists() else ""


def inside(stage: str, *command: str, **more) -> subprocess.CompletedProcess[str]:
    """Run a program in the rehearsal's internet, with its variables."""
    return subprocess.run(
        [sys.executable, "-m", "rehearsal", "shell", stage, "--", *command],
        cwd=ROOT, env={**os.environ, "STAGE": stage}, capture_output=True, text=True, timeout=300, check=False, **more,
    )  # fmt: skip


def printed_curl(stage: str) -> subprocess.CompletedProcess[str]:
    """What the line answers that a rehearsal prints for its person."""
    said = stagecraft("status", stage).splitlines()
    program, *words = shlex.split(next(line for line in said if line.lstrip().startswith("curl ")))
    command = [program, "-sS", "--fail-with-body", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
