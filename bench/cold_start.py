"""From a request where no instance runs to its answer, on a rehearsed mvp stage, and where that time goes."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

from bench import image, rehearse
from bench.figures import RUNS, Bench, Figure
from rehearsal import lifecycle, processes
from rehearsal.places import Place
from rehearsal.serverless import control, instances

from asking import Client  # isort: skip
from process import until  # isort: skip

STAGE = "mvp"
FIGURE = Figure(
    "cold-start",
    2,
    f"from a request where no instance runs to its answer: a rehearsed {STAGE} stage, through gateway and front",
    unit="s",
)
PARTS = ("way in", "container", "interpreter and imports", "listening", "model and answer")
IDLE_SECONDS = 0.5
STARTED = re.compile(r"(\S+ \S+) \S+ (\S+) of revision \S+ answers: container (\S+) s, application (\S+) s")


def measured(say: Callable[[str], None]) -> dict[str, float]:
    """Rehearse the stage, and ask again and again when its last instance has gone."""
    with rehearse.rehearsed(STAGE) as line:
        say(line)
        place, client = Place(STAGE), Client(STAGE)
        control.ask(place, "idle", seconds=IDLE_SECONDS)
        starts = [start(place, client) for _ in range(RUNS)]
        say(rehearse.stagecraft("destroy", STAGE))
    medians = [statistics.median(seconds) for seconds in zip(*starts, strict=True)]
    say(", ".join(f"{part} {seconds:.2f}" for part, seconds in zip(PARTS, medians, strict=True)))
    return {FIGURE.name: statistics.median(map(sum, starts))}


def start(place: Place, client: Client) -> list[float]:
    """Seconds of each part. Raises RuntimeError where the answer is none."""
    until(lambda: not running(place))
    time.sleep(1)  # what is left of the last instance is removed
    began = time.time()
    status, body = client.ask()
    answered = time.time()
    if status != 200:
        raise RuntimeError(f"a request at zero instances was answered {status}: {body}")
    at, ident, container, application = STARTED.findall(processes.log_file(place, lifecycle.FRONT).read_text())[-1]
    accepted = datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").timestamp()
    made = accepted - float(application)
    said = image.moments(instances.printed(place, ident))
    passed = (began, made - float(container), made, said["Started"], accepted, answered)
    return [after - before for before, after in pairwise(passed)]


def running(place: Place) -> int:
    """How many instances there are, or will be."""
    revisions = control.ask(place, "status")["revisions"].values()
    return sum(revision["instances"] + revision["starting"] for revision in revisions)


BENCHES = (Bench((FIGURE,), measured, root=True),)
