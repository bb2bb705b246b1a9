"""The application's image: how large it is, and where the time of its start goes."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx

from bench.figures import RUNS, Bench, Figure, timed
from stagecraft import image

import container  # isort: skip
import onnx_models  # isort: skip
from bucket import Bucket  # isort: skip
from process import KEY, until  # isort: skip
from storage import KEY as STORAGE_KEY  # isort: skip
from storage import SECRET, Storage, seaweed  # isort: skip
from inference_api.listed_keys import entry  # isort: skip

SIZE = Figure("image-size", 150, "the image of the serving application, compressed as a registry stores it", unit="MB")
PARTS = ("container and interpreter", "imports", "listening", "model and first answer")
ROW = [[1.0] * 64]


def measured(say: Callable[[str], None]) -> dict[str, float]:
    """Build it where it is not built yet, and start it: the start is told, and promised only with all that is around it."""
    built = image.build(say)
    with tempfile.TemporaryDirectory(prefix="bench-image-") as name, seaweed(Path(name)) as storage:
        bucket = Bucket(storage, "bench")
        bucket.publish("digits", "2", onnx_models.digits("2"))
        starts = [start(built.image, settings(storage, bucket), Path(name) / f"log{run}") for run in range(RUNS)]
    medians = [statistics.median(seconds) for seconds in zip(*starts, strict=True)]
    told = ", ".join(f"{part} {seconds:.2f}" for part, seconds in zip(PARTS, medians, strict=True))
    say(f"{sum(medians):.2f} s to the first prediction: {told}")
    return {SIZE.name: built.size / 1e6}


def settings(storage: Storage, bucket: Bucket) -> dict[str, str]:
    """The variables of a service in front of the bucket."""
    given = {
        "LISTEN": "127.0.0.1",
        "MODELS_URL": bucket.url("models"),
        "PREDICTIONS_URL": bucket.url("predictions"),
        "KEYS": entry("bench", KEY.encode(), None),
        "STORAGE_ENDPOINT": storage.endpoint,
        "STORAGE_KEY_ID": STORAGE_KEY,
        "STORAGE_SECRET_KEY": SECRET,
        "STORAGE_CA": storage.ca.read_text(),
    }
    return {f"INFERENCE_API_{name}": value for name, value in given.items()}


def start(name: str, variables: dict[str, str], log: Path) -> list[float]:
    """Seconds of each part of a start, from `podman run` to the answer to a prediction."""
    made = container.Container(name, variables, log)
    empty = timed(lambda: container.python(name, "pass"))
    try:
        began = time.time()
        made.launch()
        until(lambda: predicted(made))
        answered = time.time()
    finally:
        made.kill()
    said = moments(log.read_text().splitlines())
    passed = (
        began + empty,
        said["Started"],
        said["Uvicorn"],
        answered,
    )  # the server says when it is made, and listens
    return [empty, *(after - before for before, after in pairwise(passed))]


def predicted(made: container.Container) -> bool:
    """Whether a prediction is answered."""
    try:
        return made.predict(ROW).status_code == 200
    except httpx.TransportError:
        return False


def moments(lines: Iterable[str]) -> dict[str, float]:
    """When the application has said what (seconds since the epoch), by the first word, from its log in JSON lines."""
    said = [json.loads(line) for line in lines]
    return {entry["message"].split()[0]: datetime.fromisoformat(entry["time"]).timestamp() for entry in said}


BENCHES = (Bench((SIZE,), measured, root=True),)
