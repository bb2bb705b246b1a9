"""`stagecraft image --push` against a registry server that asks the emulated cloud who may."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from engine_runs import VARIABLES, Engine

from rehearsal.cloud import registry_tokens, server, tls
from rehearsal.cloud.server import Emulator
from rehearsal.places import REGISTRY_NAME
from rehearsal.world import WorldError
from rehearsal.world.registry import configuration
from stagecraft import push
from stagecraft.image import NAME, Built
from stagecraft.stages import Refused

SEEN = """#!/bin/sh
# skopeo, after a note of what others could see of it
echo "$@" >>"{folder}/command-lines"
for word in "$@"; do case "$word" in --authfile=*) cp --preserve=mode "${{word#*=}}" "{folder}/login" ;; esac; done
exec {skopeo} "$@"
"""


class Registry:
    """The server, at an address of its own; and the id of a registry that the cloud has."""

    def __init__(self, cloud: Emulator, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.cloud, self.data = cloud, folder / "data"
        self.id = Engine.at(cloud).apply("containerregistry_registry", {"name": "images"})["registry"]["id"]
        trusted = folder / "tokens.crt"
        trusted.write_text(registry_tokens.signer(cloud.folder)[0])
        pair = tls.issue(cloud.folder, [REGISTRY_NAME, "127.0.0.1"], "registry")
        realm = f"https://{cloud.rest.address}{registry_tokens.PATH}"
        told = folder / "config.yml"
        told.write_text(json.dumps(configuration(self.data, self.address, pair, trusted, realm)))  # which is YAML
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", told], stdout=log, stderr=log)
        self._wait(folder / "log")

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.get("/v2/")
                return
            except requests.ConnectionError:
                assert self.process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)

    def get(self, path: str) -> requests.Response:
        """What it shows to somebody who may pull."""
        access = [{"type": "repository", "name": f"{self.id}/{NAME}", "actions": ["pull"]}]
        token = registry_tokens.token(self.cloud.folder, "reader", access)
        given = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.oci.image.manifest.v1+json"}
        trust = self.cloud.env["YC_ROOT_CERTIFICATES"]
        return requests.get(f"https://{self.address}{path}", headers=given, verify=trust, timeout=10)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    if not shutil.which("docker-registry"):
        pytest.skip("no registry is installed: apt-get install docker-registry")
    cloud = server.start(tmp_path_factory.mktemp("cloud"))
    made = Registry(cloud, tmp_path_factory.mktemp("registry"))
    yield made
    made.process.kill()
    made.process.wait()
    cloud.stop()


@pytest.fixture(autouse=True)
def seen(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A controller that acts in that cloud; the folder in which it is noted how skopeo was called."""
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, registry.cloud.env[variable])
    for variable in ("YC_TOKEN", "YC_IAM_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(push, "HOST", registry.address)
    program = tmp_path / "bin" / "skopeo"
    program.parent.mkdir()
    program.write_text(SEEN.format(folder=tmp_path, skopeo=shutil.which("skopeo")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return tmp_path


def built(folder: Path, content: bytes) -> Built:
    """A small image in the form in which `stagecraft image` leaves one."""
    layout = folder / "oci"

    def blob(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        file = layout / "blobs" / "sha256" / digest
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    layer = blob(gzip.compress(content, mtime=0), "layer.v1.tar+gzip")
    known = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]}
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": known}).encode(), "config.v1+json")
    made = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    manifest = blob(json.dumps({**made, "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return Built(f"localhost/{NAME}:1", "id", str(manifest["digest"]), 0, str(layout), "", "")


def test_an_image_is_there_under_its_digest_once(registry: Registry, tmp_path: Path) -> None:
    first, second = (built(tmp_path / name, name.encode() * 1000) for name in ("first", "second"))
    assert push.push(first, registry.id) is True, "the registry has never heard of the repository"
    assert push.push(first, registry.id) is False
    assert push.push(second, registry.id) is True
    for image in (first, second):
        name, _, digest = push.reference(image, registry.id).partition("@")
        assert name == f"{registry.address}/{registry.id}/{NAME}" and digest == image.digest
        shown = registry.get(f"/v2/{registry.id}/{NAME}/manifests/{digest}")
        assert shown.status_code == 200 and shown.headers["Docker-Content-Digest"] == image.digest
        for layer in shown.json()["layers"]:
            assert registry.get(f"/v2/{registry.id}/{NAME}/blobs/{layer['digest']}").status_code == 200
    tags = registry.get(f"/v2/{registry.id}/{NAME}/tags/list").json()["tags"]
    assert sorted(tags) == sorted(image.digest.removeprefix("sha256:")[:12] for image in (first, second))


def test_a_tag_that_went_is_pushed_again(registry: Registry, tmp_path: Path) -> None:
    """As a registry's lifecycle policy takes it."""
    image = built(tmp_path, b"third" * 1000)
    assert push.push(image, registry.id) is True
    repository = registry.data / "docker/registry/v2/repositories" / registry.id / NAME
    shutil.rmtree(repository / "_manifests/tags" / image.digest.removeprefix("sha256:")[:12])
    assert push.push(image, registry.id) is True


def test_what_has_served_has_another_tag(registry: Registry, tmp_path: Path) -> None:
    image = built(tmp_path, b"served" * 1000)
    with pytest.raises(WorldError, match=r"skopeo copy .*(manifest unknown|not found)"):
        push.served(push.reference(image, registry.id))
    push.push(image, registry.id)
    assert push.served(push.reference(image, registry.id)) is True
    assert push.served(push.reference(image, registry.id)) is False
    tags = registry.get(f"/v2/{registry.id}/{NAME}/tags/list").json()["tags"]
    short = image.digest.removeprefix("sha256:")[:12]
    assert [tag for tag in sorted(tags) if short in tag] == [short, f"{push.SERVED}{short}"]
    shown = registry.get(f"/v2/{registry.id}/{NAME}/manifests/{push.SERVED}{short}")
    assert shown.headers["Docker-Content-Digest"] == image.digest, "the same image"


def test_nobody_sees_the_token(registry: Registry, tmp_path: Path, seen: Path) -> None:
    push.push(built(tmp_path, b"fourth" * 1000), registry.id)
    login = seen / "login"
    account = json.loads(login.read_text())["auths"][registry.address]["auth"]
    user, _, token = base64.b64decode(account).decode().partition(":")
    assert user == "iam" and len(token) > 20 and login.stat().st_mode & 0o777 == 0o600
    lines = (seen / "command-lines").read_text()
    assert "copy --quiet" in lines and token not in lines and account not in lines
    given = {word.partition("=")[2] for word in lines.split() if word.startswith("--authfile=")}
    assert given and not any(Path(file).exists() for file in given)


def test_who_may_not_push_is_refused(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine.at(registry.cloud)
    account = engine.apply("iam_service_account", {"name": "nobody"})["service_account"]["id"]
    monkeypatch.setattr(push, "token", lambda: registry.cloud.cloud.identity.grant(account)[0])
    with pytest.raises(WorldError, match=r"skopeo .*(denied|unauthorized)"):
        push.push(built(tmp_path, b"fifth"), registry.id)
    monkeypatch.setattr(push, "token", lambda: "t1.invented")
    with pytest.raises(WorldError, match="The token is invalid|unauthorized|invalid username/password"):
        push.push(built(tmp_path, b"fifth"), registry.id)


def test_a_registry_that_the_cloud_does_not_have(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"crpnowhere/inference-api.*(denied|unauthorized)"):
        push.push(built(tmp_path, b"sixth"), "crpnowhere")


def test_credentials_that_give_no_token(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = json.loads(Path(registry.cloud.env["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())
    stranger = tmp_path / "key.json"
    stranger.write_text(json.dumps({**key, "id": "ajestranger"}))
    monkeypatch.setenv("YC_SERVICE_ACCOUNT_KEY_FILE", str(stranger))
    with pytest.raises(Refused, match=f"(?s){stranger}.*UNAUTHENTICATED|UNAUTHENTICATED.*{stranger}"):
        push.push(built(tmp_path, b"seventh"), registry.id)
    assert not (tmp_path / "command-lines").exists(), "the registry was not asked"


def test_a_registry_that_is_away_and_one_that_nobody_vouches_for(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = built(tmp_path, b"eighth")
    monkeypatch.setattr(push, "HOST", "127.0.0.1:9")
    with pytest.raises(WorldError, match="127.0.0.1:9.*connection refused"):
        push.push(image, registry.id)
    monkeypatch.setattr(push, "HOST", registry.address)
    given = push.token()
    monkeypatch.setattr(push, "token", lambda: given)
    monkeypatch.setenv("YC_ROOT_CERTIFICATES", "/etc/ssl/certs/ca-certificates.crt")
    with pytest.raises(WorldError, match="certificate"):
        push.push(image, registry.id)
