"""Rehearsals of the stages from nothing, and their playbooks again where nothing is left to do."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

from bench import ROOT
from bench.figures import RUNS, Bench, Figure
from rehearsal import lifecycle
from rehearsal.places import Place

BUILT, AGAIN = "from nothing, with images and packages in the cache (one run)", "again, nothing to change"
PARTNERS = (
    Figure("rehearse-cold", 480, f"`make rehearse STAGE=partners` {BUILT}", unit="s"),
    Figure("rehearse-warm", 60, f"the playbook of a rehearsed partners stage {AGAIN}", unit="s"),
    Figure("plan-converged", 0.5, "`stagecraft plan` of it, that run"),
    Figure("drift", 0.5, "`stagecraft drift` of it, that run"),
)
MVP = (
    Figure("mvp-rehearse", 180, f"`make rehearse STAGE=mvp` {BUILT}", unit="s"),
    Figure("mvp-rehearse-warm", 30, f"the playbook of a rehearsed mvp stage {AGAIN}", unit="s"),
)


def stagecraft(command: str, stage: str) -> str:
    """The closing line of a command on a stage. Raises RuntimeError with the end of what it says where it fails."""
    words = [sys.executable, "-m", "stagecraft", command, stage]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[2:])}: {done.stdout[-2000:]}{done.stderr[-1000:]}")
    return done.stdout.strip().splitlines()[-1]


@contextlib.contextmanager
def rehearsed(stage: str) -> Iterator[str]:
    """A stage built in a state folder of its own, which the environment names until it is down again; the closing line.

    Raises RuntimeError where a rehearsal of it is up."""
    if lifecycle.leftovers(Place(stage)):
        raise RuntimeError(f"a rehearsal of {stage} is up: end it first (make down STAGE={stage})")
    with tempfile.TemporaryDirectory(prefix="bench-") as state, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGECRAFT_STATE", state)
        try:
            yield stagecraft("rehearse", stage)
        finally:
            stagecraft("down", stage)


def seconds(line: str, promised: str) -> float:
    """How long a command says that it took. Raises RuntimeError where it says anything but what is promised."""
    if not (said := re.fullmatch(promised, line)):
        raise RuntimeError(f"not as promised, so no figure: {line}")
    return float(said[1])


def took(*command: str) -> float:
    """The seconds of one whole command. Raises RuntimeError where it fails."""
    started = time.monotonic()
    stagecraft(*command)
    return time.monotonic() - started


def rehearsal(stage: str, figures: tuple[Figure, ...], compared: tuple[str, ...] = ()) -> Bench:
    """Build a stage, check it, run it again a few times and by turns the commands that are compared with that, and take it
    down."""

    def measure(say: Callable[[str], None]) -> dict[str, float]:
        with rehearsed(stage) as line:
            say(line)
            ended = r"rehearsed in (\d+)s, \d+ hosts, \d+ checks passed, second run changed 0"
            cold = seconds(line, f"{stage}: {ended}")
            warm, others = [], {command: [] for command in compared}
            for _ in range(RUNS):
                say(line := stagecraft("apply", stage))
                warm.append(seconds(line, rf"{stage}: changed 0 in (\d+)s, \d+ hosts"))
                for command, runs in others.items():
                    runs.append(took(command, stage))
            say(stagecraft("destroy", stage))
        again = statistics.median(warm)
        values = [cold, again, *(statistics.median(runs) / again for runs in others.values())]
        return dict(zip((figure.name for figure in figures), values, strict=True))

    return Bench(figures, measure, root=True)


BENCHES = (rehearsal("partners", PARTNERS, ("plan", "drift")), rehearsal("mvp", MVP))
