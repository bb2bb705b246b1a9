"""An image that another job has built: taken as it lies there, or refused."""

from __future__ import annotations

import fcntl
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest
from typer.testing import CliRunner

from stagecraft import cli, image, push
from stagecraft.stages import Refused

DIGEST = "sha256:" + "a" * 64
NOTE = {
    "image": "localhost/x:1",
    "id": "b",
    "digest": DIGEST,
    "size": 1,
    "layout": "/there/oci",
    "sbom": "/there/s",
    "openapi": "/o",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "FOLDER", tmp_path)
    (tmp_path / "oci").mkdir()
    return tmp_path


def lay(folder, digest: str) -> None:
    (folder / f"{image.NAME}.json").write_text(json.dumps(NOTE))
    (folder / "oci" / "index.json").write_text(json.dumps({"manifests": [{"digest": digest}]}))


def test_it_is_taken_where_it_lies_now(folder):
    lay(folder, DIGEST)
    found = image.kept()
    assert found.digest == DIGEST and found.layout == str(folder / "oci") and found.openapi.startswith(str(folder))


def test_nothing_and_another_image_are_refused(folder):
    with pytest.raises(Refused, match="holds no built image .*make image"):
        image.kept()
    lay(folder, "sha256:" + "c" * 64)
    with pytest.raises(Refused, match="is not the image that .* tells of"):
        image.kept()


def test_what_another_one_is_writing_is_waited_for(folder, monkeypatch):
    """`make image` beside a playbook: what the playbook takes and pushes is one image, whole."""
    monkeypatch.setenv("STAGECRAFT_CACHE", str(folder / "cache"))
    pushed = []
    monkeypatch.setattr(push, "push", lambda built, registry: not pushed.append((built.digest, registry)))
    (folder / image.OPENAPI).write_text('{"openapi": "3.0.3"}')
    lay(folder, DIGEST)
    first = CliRunner().invoke(cli.app, ["image", "--built", "--json", "--push", "crp1"])
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout) == {"digest": DIGEST, "size": 1, "pushed": True, "contract": {"openapi": "3.0.3"}}
    said = SimpleQueue[str]()

    def another() -> None:
        with image.taken(said.put, built_before=True) as built:
            push.push(built, "crp1")

    with ThreadPoolExecutor(1) as others:
        with image._alone():
            shutil.rmtree(folder / "oci")
            other = others.submit(another)
            assert "waiting for another run that builds the image" in said.get(timeout=10)
            with pytest.raises(TimeoutError):
                other.result(0.3)
            assert len(pushed) == 1
            (folder / "oci").mkdir()
            lay(folder, DIGEST)
        other.result(10)
    assert pushed == [(DIGEST, "crp1")] * 2


def test_nobody_writes_it_while_it_is_pushed(folder, monkeypatch):
    monkeypatch.setenv("STAGECRAFT_CACHE", str(folder / "cache"))
    (folder / image.OPENAPI).write_text("{}")
    lay(folder, DIGEST)

    def pushing(built: image.Built, registry: str) -> bool:
        with (folder / "cache" / "images" / f"{image.NAME}.lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    monkeypatch.setattr(push, "push", pushing)
    assert "pushed: cr.yandex/crp1/" in CliRunner().invoke(cli.app, ["image", "--built", "--push", "crp1"]).stdout
