"""A controller's desk with built models, a bucket, and a serving machine."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from neighbour import Neighbour
from storage import BUCKET, KEY, SECRET, Storage, seaweed

from model_sync.cli import main

CONFIG = 'name: "digits"\nbackend: "onnxruntime"\nmax_batch_size: 8\n'


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with seaweed(tmp_path_factory.mktemp("storage")) as server:
        yield server


@pytest.fixture
def prefix(storage: Storage, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A place of its own in the bucket; the environment is that of a controller."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", storage.endpoint)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(storage.ca))
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12] + "/models"


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[Neighbour]:
    repository = tmp_path / "state" / "repository"
    repository.mkdir(parents=True)
    server = Neighbour(repository)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


class Machine:
    """A serving machine: its settings, and what model-sync makes of them."""

    def __init__(self, folder: Path, storage: Storage, prefix: str, triton: Neighbour) -> None:
        self.folder, self.triton, self.repository = folder, triton, triton.repository
        self.base = folder / "digits.pbtxt"
        self.base.write_text(CONFIG)
        self.settings = {
            "store": {
                "bucket": BUCKET,
                "prefix": prefix,
                "endpoint": storage.endpoint,
                "region": "ru-central1",
                "ca_bundle": str(storage.ca),
            },
            "repository": str(triton.repository),
            "triton": {"url": triton.url, "timeout": 5},
            "models": {"digits": {"versions": "all", "config": str(self.base)}},
        }

    def pull(self, *options: str) -> dict:
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.settings))
        return run("pull", "--config", str(config), *options)

    def want(self, versions: object) -> None:
        self.settings["models"]["digits"]["versions"] = versions

    def tree(self) -> dict[str, bytes]:
        """Every file of the repository."""
        return {
            str(path.relative_to(self.repository)): path.read_bytes()
            for path in sorted(self.repository.rglob("*"))
            if path.is_file()
        }


def run(*arguments: str) -> dict:
    """`model-sync` with these arguments: its report, or RuntimeError with what it says when it fails."""
    output = io.StringIO()
    try:
        with redirect_stdout(output):
            main(list(arguments))
    except SystemExit as error:
        raise RuntimeError(error.code) from error
    return json.loads(output.getvalue())


@pytest.fixture
def machine(tmp_path: Path, storage: Storage, prefix: str, triton: Neighbour) -> Machine:
    return Machine(tmp_path, storage, prefix, triton)


class Desk:
    """The controller's folder of built models."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix, self.url = folder, prefix, f"s3://{BUCKET}/{prefix}"
        self.models: dict[str, dict] = {}

    def build(self, number: str, content: bytes, model: str = "digits", source: str = "") -> None:
        path = self.folder / model / number / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        entry = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        self.models.setdefault(model, {"versions": {}})["versions"][number] = {
            "files": {"model.onnx": entry},
            "source": source,
        }
        (self.folder / "manifest.json").write_text(json.dumps({"models": self.models}))

    def publish(self, *options: str) -> dict:
        return run("publish", str(self.folder), self.url, *options)


@pytest.fixture
def desk(tmp_path: Path, prefix: str) -> Desk:
    return Desk(tmp_path / "built", prefix)
