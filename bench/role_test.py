"""A Molecule scenario's time beyond its role's own installing."""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import run as role_tests
from hosts import FAMILIES

from bench.figures import RUNS, Bench, Figure

SCENARIO = "node_exporter"
FIGURE = Figure(
    "role-test",
    9,
    f"a Molecule scenario ({SCENARIO} on one machine) without the first converge of its role, two side by side",
    unit="s",
)


def scenario(say: Callable[[str], None]) -> dict[str, float]:
    """Run it as `make test` does, as many side by side: each takes its share of the time that they take together.

    Raises RuntimeError where a test of it fails."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ThreadPoolExecutor(len(FAMILIES)) as lanes:
        seen = list(lanes.map(lambda family: lane(family, Path(folder) / family, say), FAMILIES))
    return {FIGURE.name: statistics.median(itertools.chain.from_iterable(seen)) / len(FAMILIES)}


def lane(family: str, state: Path, say: Callable[[str], None]) -> list[float]:
    """The scenario again and again on one Debian; the seconds of each run but for its converge."""
    state.mkdir()
    options, seen = argparse.Namespace(only="test", os=[family], keep=False), []
    for _ in range(RUNS):
        outcome = role_tests.run(SCENARIO, state, options)
        if outcome.failed:
            raise RuntimeError(f"{SCENARIO}: {outcome.why}\n{outcome.log.read_text()[-3000:]}")
        say(
            f"{family} {outcome.seconds:.1f} s: "
            + ", ".join(f"{step} {seconds:.1f}" for step, seconds in outcome.steps)
        )
        seen.append(outcome.seconds - dict(outcome.steps)["converge"])
    return seen


BENCHES = (Bench((FIGURE,), scenario, root=True),)
