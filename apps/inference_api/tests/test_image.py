"""The image as a platform runs it: locked down, settings by variables; and what is in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from rehearsal import wheelhouse
from rehearsal.world import shell
from stagecraft import image as images
from stagecraft.image import Built

import container
from bucket import Bucket
from conftest import running
from container import Container
from process import KEY, free_port, until
from triton_peer import digits

import numpy as np  # isort: skip

ROWS = np.random.default_rng(3).integers(0, 17, size=(4, 64)).astype(np.float32)
# programs that would help somebody who got in, or that only a build needs
TOOLS = re.compile(r"/(sh|bash|dash|busybox|perl|apt|apt-get|dpkg|pip[\d.]*|gcc|cc|ld|as|make|wget|curl|tar|su|mount)$")
RUBBISH = re.compile(r"^(var/cache/|var/lib/apt/|root/.|debs/|wheels/|builder/)|\.whl$|/(pip|setuptools)/")


@pytest.fixture(scope="session")
def built() -> Built:
    if os.geteuid() or not shutil.which("podman"):
        pytest.skip("building an image needs root and podman: apt-get install podman")
    return images.build(print)


@pytest.fixture
def contained(built: Built, alone_environment: dict[str, str], tmp_path: Path) -> Iterator[Container]:
    """Not started yet; on loopback, where the bucket is."""
    environment = container.variables(alone_environment, listen="127.0.0.1")
    yield from running(Container(built.image, environment, tmp_path / "log"))


def test_it_predicts_from_a_bucket_with_nothing_but_variables(contained: Container, published: Bucket) -> None:
    contained.start().ready()
    answer = contained.client.post("/v1/predict/digits", json={"inputs": ROWS.tolist()}, headers={"x-api-key": KEY})
    assert answer.status_code == 200
    assert answer.json()["outputs"]["label"] == digits("2", ROWS)["label"].tolist()
    lines = [json.loads(line) for line in contained.log.read_text().splitlines()]
    assert {line["level"] for line in lines} == {"INFO"}
    assert any("model digits version 2: loaded" in line["message"] for line in lines)


def test_a_clean_stop_writes_what_waits(contained: Container, published: Bucket) -> None:
    contained.start(records_flush_seconds=3600).ready()
    ids = sorted(contained.predict(row.tolist()).json()["id"] for row in ROWS)
    assert published.ids() == []
    began = time.monotonic()
    assert contained.stop() == 0
    assert time.monotonic() - began < 8  # a platform kills after ten
    assert published.ids() == ids


def test_it_starts_without_a_network_as_a_user_that_may_write_nowhere_but_in_tmp(
    built: Built, alone_environment: dict[str, str], tmp_path: Path
) -> None:
    made = Container(built.image, container.variables(alone_environment), tmp_path / "log", network="none")
    try:
        made.start()
        assert made.inside("import os; print(os.getuid(), os.getgid(), os.getgroups())").split() == [
            "65532",
            "65532",
            "[]",
        ]
        tried = "import pathlib\nfor p in ('/x', '/usr/x', '/var/x', '/etc/x'):\n try: pathlib.Path(p).open('a')\n"
        assert made.inside(tried + " except OSError as e: print(e.errno)").split() == ["30"] * 4  # EROFS
        assert "telemetry" not in made.log.read_text()
    finally:
        made.kill()


def test_wrong_settings_are_its_last_words(built: Built) -> None:
    ended = subprocess.run(
        ["podman", "run", *container.LOCKED_DOWN, "--network=none", "--env=INFERENCE_API_MODELS_URL=nowhere", built.image],
        capture_output=True, text=True, check=False, env={**os.environ, "CONTAINERS_CONF": str(shell.CONTAINERS_CONF)},
    )  # fmt: skip
    assert ended.returncode == 2
    assert "INFERENCE_API_MODELS_URL='nowhere': give an address as s3://" in ended.stderr


def test_nothing_is_in_it_that_serving_does_not_need(built: Built) -> None:
    lines = [line.split(maxsplit=5) for line in container.files(built.image)]
    names = {words[5].partition(" -> ")[0] for words in lines}
    assert "usr/bin/python3.11" in names
    assert not {name for name in names if TOOLS.search("/" + name)}
    assert not {name for name in names if RUBBISH.search(name)}
    assert not {words[5] for words in lines if "s" in words[0] or (words[0][8] == "w" and words[0][0] not in "l")} - {
        "tmp/"
    }


def test_every_module_is_compiled_and_never_compared_with_its_source(built: Built) -> None:
    code = (
        "import sys, pathlib, inference_api.app, inference_api.onnx_engine, inference_api.parquet_store\n"
        "found = [m.__cached__ for m in sys.modules.values() if getattr(m, '__cached__', None)]\n"
        "print(len(found), *{pathlib.Path(f).read_bytes()[4:8].hex() for f in found})"
    )
    count, flags = container.python(built.image, code).split()
    assert int(count) > 300 and flags == "01000000"  # a hash, unchecked


def test_the_list_of_contents_is_valid_and_says_what_is_locked(built: Built) -> None:
    text = Path(built.sbom).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    listed = {part["purl"].partition("?")[0] for part in document["components"]}
    locked = wheelhouse.parse(images.LOCK.read_text(), wheelhouse.PYTHON, "the lock")
    assert listed >= {f"pkg:pypi/{wanted.name}@{wanted.version}" for wanted in locked}
    debian = {purl.split("/")[2].partition("@")[0] for purl in listed if purl.startswith("pkg:deb/debian/")}
    assert debian >= {"libc6", "python3.11-minimal", "libssl3", "ca-certificates"}
    assert document["metadata"]["component"]["purl"] == f"pkg:oci/inference-api@{built.digest}"


def test_it_says_where_it_comes_from_and_is_the_same_again(built: Built) -> None:
    (found,) = json.loads(shell.podman("image", "inspect", built.image))
    source = images.described()
    marks = {name.removeprefix("org.opencontainers.image."): value for name, value in found["Labels"].items()}
    assert (marks["version"], marks["revision"]) == (source.version, source.revision)
    assert marks["source"].startswith("https://")
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(source.epoch))
    assert marks["created"] == f"{moment}+00:00" and found["Created"] == f"{moment}Z"
    assert found["Annotations"].items() >= found["Labels"].items()
    shell.podman("rmi", built.image)
    assert images.build() == built


def test_a_registry_shows_the_digest_that_was_said(built: Built, tmp_path: Path) -> None:
    if not shutil.which("docker-registry"):
        pytest.skip("no registry is installed: apt-get install docker-registry")
    address = f"127.0.0.1:{free_port()}"
    settings = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(tmp_path)}}, "http": {"addr": address}}
    (tmp_path / "config.yml").write_text(json.dumps(settings))  # which is YAML
    with subprocess.Popen(["docker-registry", "serve", tmp_path / "config.yml"], stderr=subprocess.DEVNULL) as registry:
        try:
            until(lambda: reached(f"http://{address}/v2/"))
            pushed = ("push", "--quiet", "--tls-verify=false", f"--digestfile={tmp_path}/digest")
            shell.podman(*pushed, built.image, f"docker://{address}/inference-api:1")
        finally:
            registry.kill()
    assert (tmp_path / "digest").read_text() == built.digest


def reached(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_the_bytes_of_the_layout_are_those_that_are_said(built: Built) -> None:
    layout = Path(built.layout)
    manifest = (layout / "blobs" / built.digest.replace(":", "/")).read_bytes()
    parts = [json.loads(manifest)["config"], *json.loads(manifest)["layers"]]
    assert built.size == sum((layout / "blobs" / part["digest"].replace(":", "/")).stat().st_size for part in parts)
    assert built.size < 150e6
