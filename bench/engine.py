"""The in-process engine with everything on against a bare ASGI function that calls the same ONNX session."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from bench import image, trained
from bench.api_python import environment
from bench.api_servers import APP, uvicorn
from bench.figures import HIGHER, RUNS, Bench, Figure, medians
from bench.load import Load, Target, require

from bucket import Bucket  # isort: skip
from process import KEY, Api  # isort: skip
from storage import seaweed  # isort: skip

FIGURE = Figure(
    "engine-rate",
    1.0,
    "predictions a second: the in-process engine with everything on, a bare ASGI function that calls the same session",
    better=HIGHER,
)


@dataclass(frozen=True)
class Engines:
    """Both, and how many predictions the engine has on record in its bucket once it has stopped."""

    api: Target
    bare: Target
    stop: Callable[[], int]


@contextlib.contextmanager
def engines(say: Callable[[str], None]) -> Iterator[Engines]:
    """Both over plain HTTP on loopback until the block ends, one process each with one model."""
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as name, contextlib.ExitStack() as ending:
        folder = Path(name)
        storage = ending.enter_context(seaweed(folder))
        bucket, built = Bucket(storage, "bench"), trained.digits()
        bucket.publish(trained.MODEL, trained.VERSION, built.model.read_bytes())
        variables = image.settings(storage, bucket)
        variables |= {"INFERENCE_API_ENGINE": "onnxruntime", "INFERENCE_API_STORE": "objects"}
        variables["INFERENCE_API_STATE_DIRECTORY"] = str(folder / "state")
        python = str(
            environment("inference-api-serverless", [APP / "requirements-serverless.lock"], say) / "bin/python"
        )
        api = Api(variables, folder / "api.log", python=python)
        ending.callback(api.kill)
        api.start().ready()
        bare = ending.enter_context(uvicorn("engine_bare", python, folder, MODEL=str(built.model)))
        body = folder / "rows.json"
        body.write_text(json.dumps({"inputs": built.images[:1]}))

        def stop() -> int:
            api.stop()
            return len(bucket.ids())

        path = f"v1/predict/{trained.MODEL}"
        targets = (Target("API", f"http://127.0.0.1:{api.port}/{path}", body), Target("bare", f"{bare}/{path}", body))
        yield Engines(*targets, stop)


def outputs(target: Target) -> dict[str, list[float]]:
    """What a target answers, by output: its numbers in their order."""
    answer = httpx.post(target.address, content=target.body.read_bytes(), headers={"authorization": f"Bearer {KEY}"})
    return {name: np.ravel(values).tolist() for name, values in answer.raise_for_status().json()["outputs"].items()}


def measured(say: Callable[[str], None]) -> dict[str, float]:
    """Rates by turns. Raises RuntimeError where the two do not answer the same, or a prediction is not on record."""
    require({})
    load = Load()
    with engines(say) as running:
        if (ours := outputs(running.api)) != (theirs := outputs(running.bare)):
            raise RuntimeError(f"the engine answers {ours}, the bare function {theirs}")
        fast, bare = medians(RUNS, *(load.rate(target) for target in (running.api, running.bare)))
        say(f"answers a second: engine {fast:.0f}, bare {bare:.0f}")
        recorded, answered = running.stop(), load.answered[running.api.name]
        if recorded < answered:
            raise RuntimeError(f"{answered} predictions were answered, {recorded} are on record")
    return {FIGURE.name: fast / bare}


BENCHES = (Bench((FIGURE,), measured),)
