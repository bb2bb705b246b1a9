"""What all stages cost, against nothing: how long one waits for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from bench import ROOT
from bench.figures import RUNS, Bench, Figure, medians, timed
from stagecraft.stages import names

COST = Figure("cost", 1.0, "`stagecraft cost` of all stages, beyond the start of Python", unit="s")
TOLD = "USD a month"  # in the closing line of each stage


def run(*arguments: str) -> str:
    """Python with these arguments in the checkout; its output. Raises RuntimeError where it fails."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def beyond_start(say: Callable[[str], None]) -> dict[str, float]:
    """The command for all stages, and Python that does nothing, by turns."""
    told = run("-m", "stagecraft", "cost").count(TOLD)  # and what Python compiles is there then
    if told != len(names()):
        raise RuntimeError(f"{told} prices were told for {len(names())} stages")
    start, whole = medians(
        RUNS, lambda: timed(lambda: run("-c", "pass")), lambda: timed(lambda: run("-m", "stagecraft", "cost"))
    )
    say(f"{told} stages {whole:.2f} s, Python alone {start:.2f} s")
    return {COST.name: whole - start}


BENCHES = (Bench((COST,), beyond_start),)
