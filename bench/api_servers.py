"""What answers in the benches of the API: the API with all that belongs to it, the plain proxy, and Triton itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT, trained
from bench.api_python import environment
from bench.api_triton import answers, triton
from bench.load import Target
from bench.trained import MODEL, VERSION

from authority import Authority  # isort: skip
from postgres import PASSWORD, Postgres  # isort: skip
from process import KEY, Api, command, free_port, until  # isort: skip

APP = ROOT / "apps" / "inference_api"


@dataclass(frozen=True)
class Servers:
    """All three, and how many predictions the API has on record in PostgreSQL."""

    api: Target
    proxy: Target
    triton: Target
    recorded: Callable[[], int]


@contextlib.contextmanager
def servers(say: Callable[[str], None]) -> Iterator[Servers]:
    """All of them over plain HTTP on loopback until the block ends; API and proxy are one process each."""
    with tempfile.TemporaryDirectory(prefix="bench-api-") as name, contextlib.ExitStack() as ending:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as a user of its own
        model = ending.enter_context(triton(folder, say))
        recorded, settings = ending.enter_context(database(folder))
        python = str(environment("inference-api", [APP / "requirements.lock"], say) / "bin" / "python")
        api = Api(settings | {"INFERENCE_API_TRITON_ADDRESS": model.grpc}, folder / "api.log", python=python)
        ending.callback(api.kill)
        api.start().ready()
        proxy = ending.enter_context(uvicorn("api_proxy", python, folder, TRITON=model.grpc))
        image = trained.digits().images[0]
        rows, tensor = folder / "rows.json", folder / "tensor.json"
        rows.write_text(json.dumps({"inputs": [image]}))
        one = {"name": "image", "shape": [1, len(image)], "datatype": "FP32", "data": image}
        tensor.write_text(json.dumps({"inputs": [one]}))
        yield Servers(
            Target("API", f"http://127.0.0.1:{api.port}/v1/predict/{MODEL}", rows),
            Target("plain proxy", f"{proxy}/v1/predict/{MODEL}", rows),
            Target("Triton", f"{model.http}/v2/models/{MODEL}/versions/{VERSION}/infer", tensor),
            recorded,
        )


@contextlib.contextmanager
def database(folder: Path) -> Iterator[tuple[Callable[[], int], dict[str, str]]]:
    """PostgreSQL with the API's schema and a key; how to count the records, and the settings of an API that uses it."""
    authority = Authority(folder)
    cluster = Postgres(folder, authority, free_port())
    password = folder / "password"
    password.write_text(PASSWORD)
    settings: dict[str, object] = {
        "state_directory": folder / "state",
        "triton_tls": False,
        "database_host": "localhost",
        "database_port": cluster.port,
        "database_name": "api",
        "database_user": "api",
        "database_password_file": password,
        "database_ca_file": authority.certificate,
    }
    variables = {f"INFERENCE_API_{name.upper()}": str(value) for name, value in settings.items()}
    cluster.start()
    try:
        cluster.query(f"CREATE ROLE api LOGIN PASSWORD '{PASSWORD}'")
        cluster.query("CREATE DATABASE api OWNER api")
        command(variables, "migrate")
        command(variables, "keys", "set", "bench", stdin=KEY)
        counted = "SELECT count(*) FROM inference_api.predictions"
        yield lambda: cluster.query(counted, database="api")[0][0], variables
    finally:
        cluster.stop()


@contextlib.contextmanager
def uvicorn(app: str, python: str, folder: Path, **variables: str) -> Iterator[str]:
    """An ASGI application of this package by uvicorn with its own defaults, one process; its address."""
    port, log = free_port(), folder / f"{app}.log"
    arguments = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [python, "-m", "uvicorn", f"bench.{app}:app", *arguments],
            cwd=ROOT, env=os.environ | variables, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        until(lambda: answers(process, log, f"http://127.0.0.1:{port}/healthz"), 90)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
