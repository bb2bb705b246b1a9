"""A rehearsal of the partners stage from nothing, and its playbook again where nothing is left to do."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable

from bench import ROOT
from bench.figures import RUNS, Bench, Figure
from rehearsal import lifecycle
from rehearsal.places import Place

STAGE = "partners"
COLD = Figure(
    "rehearse-cold", 480, "`make rehearse` from nothing, with images and packages in the cache (one run)", unit="s"
)
WARM = Figure("rehearse-warm", 60, "the playbook of a rehearsed stage again, nothing to change", unit="s")


def stagecraft(command: str, state: str) -> str:
    """The closing line of a command on the stage. Raises RuntimeError with the end of what it says where it fails."""
    words = [sys.executable, "-m", "stagecraft", command, STAGE]
    environment = os.environ | {"STAGECRAFT_STATE": state}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[2:])}: {done.stdout[-2000:]}{done.stderr[-1000:]}")
    return done.stdout.strip().splitlines()[-1]


def seconds(line: str, promised: str) -> float:
    """How long a command says that it took. Raises RuntimeError where it says anything but what is promised."""
    if not (said := re.fullmatch(promised, line)):
        raise RuntimeError(f"not as promised, so no figure: {line}")
    return float(said[1])


def rehearsal(say: Callable[[str], None]) -> dict[str, float]:
    """Build the stage, check it, run it again a few times, and take it down."""
    if lifecycle.leftovers(Place(STAGE)):
        raise RuntimeError(f"a rehearsal of {STAGE} is up: end it first (make down STAGE={STAGE})")
    with tempfile.TemporaryDirectory(prefix="bench-") as state:
        try:
            say(line := stagecraft("rehearse", state))
            cold = seconds(line, r"partners: rehearsed in (\d+)s, \d+ hosts, \d+ checks passed, second run changed 0")
            warm = []
            for _ in range(RUNS):
                say(line := stagecraft("apply", state))
                warm.append(seconds(line, r"partners: changed 0 in (\d+)s, \d+ hosts"))
            say(stagecraft("destroy", state))
        finally:
            stagecraft("down", state)
    return {COLD.name: cold, WARM.name: statistics.median(warm)}


BENCHES = (Bench((COLD, WARM), rehearsal, root=True),)
