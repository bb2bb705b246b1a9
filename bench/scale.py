"""Requests served while instances of a serverless container come and go with the load, and while all of them stay."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import HIGHER, RUNS, Bench, Figure
from rehearsal.cloud.core import ZONES
from rehearsal.places import Place

from serverless_stage import Load, Stage, staged  # isort: skip
from small_vpc import wait_for  # isort: skip

MANY = len(ZONES)  # instances: one a zone
PHASES = ((2, 1), (10, 2 * MANY), (4, 1))  # seconds, and clients that ask without a pause
WORK_SECONDS = 0.15  # of a request, which an instance has one of at a time
IDLE_SECONDS = 1.0
FIGURE = Figure(
    "scale",
    0.8,
    f"requests served while a load of 1, {PHASES[1][1]} and 1 clients brings 1 to {MANY} to 1 instances,"
    f" {MANY} provisioned ones; none fails",
    better=HIGHER,
)


def measured(say: Callable[[str], None]) -> dict[str, float]:
    """The same load by turns on a container that scales and on one that is provisioned."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder, staged(Place("bench"), Path(folder)) as stage:
        stage.idle(IDLE_SECONDS)
        for turn in range(RUNS):
            fixed, scaled = served(stage, f"fixed{turn}", MANY), served(stage, f"scaled{turn}", 0)
            say(f"{scaled} requests served while it scaled, {fixed} by {MANY} instances")
            ratios.append(scaled / fixed)
    return {FIGURE.name: statistics.median(ratios)}


def served(stage: Stage, name: str, provisioned: int) -> int:
    """How many requests of the load were answered. Raises RuntimeError where one fails.

    AssertionError: there were not as many instances as the load wants."""
    container = stage.container(name)
    stage.deploy(container, name, limit=MANY // len(ZONES), provisioned=provisioned)
    wait_for("the first instances", lambda: stage.count(name) == (provisioned or 1))
    total = 0
    for seconds, clients in PHASES:
        with Load(lambda: stage.ask(container, f"/sleep?seconds={WORK_SECONDS}"), clients) as load:
            time.sleep(seconds)
            total += len(load.answers)
            there = provisioned or min(clients, MANY)
            wait_for(f"{there} instances of {name}", lambda there=there: stage.count(name) == there)
        if set(load.statuses()) != {200}:
            raise RuntimeError(f"{name}: answers by status: {dict(load.statuses())}")
    stage.delete(container)
    return total


BENCHES = (Bench((FIGURE,), measured, root=True),)
