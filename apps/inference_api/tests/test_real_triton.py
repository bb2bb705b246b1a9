"""The same service in front of NVIDIA's own server, where there is one: versions, batches, death and return.

TRITONSERVER is the path of a `tritonserver` with its Python backend beside it (`../backends`), TRITON_PYTHON a folder
with a `python3` that the backend can use (numpy below 2). The role triton builds both.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from conftest import Api, free_port, until
from tls import Authority, Pair

SERVER, PYTHON = os.environ.get("TRITONSERVER", ""), os.environ.get("TRITON_PYTHON", "")
pytestmark = pytest.mark.skipif(not (SERVER and PYTHON), reason="TRITONSERVER and TRITON_PYTHON name no real Triton")

MODEL = """
import json
import numpy as np
import triton_python_backend_utils as triton

class TritonPythonModel:
    def initialize(self, args):
        self.weights = np.random.default_rng(int(args["model_version"])).normal(size=(64, 10)).astype(np.float32)

    def execute(self, requests):
        answers = []
        for request in requests:
            rows = triton.get_input_tensor_by_name(request, "image").as_numpy()
            scores = rows @ self.weights
            outputs = [triton.Tensor("scores", scores), triton.Tensor("label", scores.argmax(1).astype(np.int64))]
            answers.append(triton.InferenceResponse(outputs))
        return answers
"""
CONFIG = """
backend: "python"
max_batch_size: 16
version_policy { all {} }
input { name: "image" data_type: TYPE_FP32 dims: [64] }
output { name: "label" data_type: TYPE_INT64 dims: [1] reshape { shape: [] } }
output { name: "scores" data_type: TYPE_FP32 dims: [10] }
dynamic_batching { }
"""
ROWS = np.random.default_rng(3).normal(size=(40, 64)).astype(np.float32)


class Server:
    """NVIDIA's server with mutual TLS."""

    def __init__(self, folder: Path, certificate: Pair, ca: Path) -> None:
        self.port = free_port()
        for version in ("1", "2"):
            (folder / "digits" / version).mkdir(parents=True)
            (folder / "digits" / version / "model.py").write_text(MODEL)
        (folder / "digits" / "config.pbtxt").write_text(CONFIG)
        self._log = folder.parent / "triton.log"
        self._command = [
            SERVER,
            f"--model-repository={folder}",
            f"--backend-directory={Path(SERVER).parents[1] / 'backends'}",
            "--allow-http=false",
            "--allow-metrics=false",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self.port}",
            "--grpc-use-ssl=true",
            "--grpc-use-ssl-mutual=true",
            f"--grpc-server-cert={certificate.certificate}",
            f"--grpc-server-key={certificate.key}",
            f"--grpc-root-cert={ca}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            environment = {**os.environ, "PATH": f"{PYTHON}:{os.environ['PATH']}"}
            self._process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


@pytest.fixture
def server(
    tmp_path: Path, server_certificate: Pair, authority: Authority, migrated: dict[str, str]
) -> Iterator[Server]:
    made = Server(tmp_path / "models", server_certificate, authority.certificate)
    made.start()
    migrated["INFERENCE_API_TRITON_ADDRESS"] = f"localhost:{made.port}"
    yield made
    made.stop()


def test_a_real_triton(server: Server, api: Api) -> None:
    api.start().ready()
    metadata = api.client.get("/v2/models/digits").json()
    assert metadata["versions"] == ["1", "2"] and metadata["inputs"][0]["shape"] == [-1, 64]
    for version in (1, 2):
        weights = np.random.default_rng(version).normal(size=(64, 10)).astype(np.float32)
        answer = api.predict(ROWS[:16].tolist(), version=version).json()
        assert answer["version"] == str(version)
        assert np.ravel(answer["outputs"]["label"]).tolist() == (ROWS[:16] @ weights).argmax(1).tolist()
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda row: api.predict(row.tolist()).json()["outputs"]["label"], ROWS))
    assert np.ravel(answers).tolist() == (ROWS @ weights).argmax(1).tolist()
    assert api.predict(ROWS[:17].tolist()).status_code == 422
    assert api.predict(ROWS[:1].tolist(), version="7").status_code == 404
    assert api.predict(ROWS[:1].tolist(), "none").status_code == 404
    server.stop()
    assert api.predict(ROWS[0].tolist()).status_code == 503
    server.start()
    until(lambda: api.predict(ROWS[0].tolist()).status_code == 200)
