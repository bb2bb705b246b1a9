"""A Molecule scenario's time beyond its role's own installing."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import run as role_tests

from bench.figures import RUNS, Bench, Figure
from stagecraft import testing

SCENARIO, FAMILY = "node_exporter", "debian-12"
FIGURE = Figure(
    "role-test", 9, f"a Molecule scenario ({SCENARIO} on one machine) without the first converge of its role", unit="s"
)
OPTIONS = argparse.Namespace(only="test", os=[FAMILY], keep=False)


def scenario(say: Callable[[str], None]) -> dict[str, float]:
    """Run it as `make test` does. Raises RuntimeError where a test of it fails."""
    os.environ.update(testing.environment())  # what Python has compiled is kept
    seen = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for _ in range(RUNS):
            outcome = role_tests.run(SCENARIO, Path(folder), OPTIONS)
            if outcome.failed:
                raise RuntimeError(f"{SCENARIO}: {outcome.why}\n{outcome.log.read_text()[-3000:]}")
            say(f"{outcome.seconds:.1f} s: " + ", ".join(f"{step} {seconds:.1f}" for step, seconds in outcome.steps))
            seen.append(outcome.seconds - dict(outcome.steps)["converge"])
    return {FIGURE.name: statistics.median(seen)}


BENCHES = (Bench((FIGURE,), scenario, root=True),)
