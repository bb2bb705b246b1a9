"""Container Registry behind the emulated cloud: a real registry server (docker-registry) in the rehearsal's internet.

Clients push and pull there with tokens of the cloud (`rehearsal.cloud.registry_tokens`). What it holds is read from its
folder, which has one layout since its version 2; deletions go through its API, so that it knows of them."""

from __future__ import annotations

import base64
import functools
import json
import secrets
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from rehearsal import files, processes
from rehearsal.cloud import registry_tokens, tls
from rehearsal.places import REGISTRY, REGISTRY_NAME, Place
from rehearsal.world import StoredImage, WorldError, shell

DAEMON = "registry"
START_LIMIT = 60  # seconds; on a busy machine
ANSWER_LIMIT = 30  # seconds
MANIFESTS = "_manifests"


def configuration(
    data: Path, address: str, pair: tuple[Path, Path], trusted: Path, realm: str = registry_tokens.REALM
) -> dict[str, Any]:
    """What the server is told: where its images are and where it listens, its certificate and key, and whose tokens it
    trusts."""
    certificate, key = pair
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},  # it would write of it to the log for ever
        },
        "http": {
            "addr": address,
            "secret": secrets.token_hex(16),
            "relativeurls": True,
            "tls": {"certificate": str(certificate), "key": str(key)},
        },
        "auth": {
            "token": {
                "realm": realm,
                "service": REGISTRY_NAME,
                "issuer": REGISTRY_NAME,
                "rootcertbundle": str(trusted),
            }
        },
    }


class Server:
    """The registry server of one rehearsal, and what the cloud's API does to it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._netns = place.netns("internet")
        self._folder = place.folder / "registry"
        self._data = self._folder / "data/docker/registry/v2"
        self._trust = self._folder / "trust"  # what podman calls a --cert-dir

    # ---- the server ----
    def start(self) -> None:
        """Start the server unless it runs, and wait until it answers. Needs the namespace `internet`."""
        if processes.running(self._place, DAEMON) is None and processes.start(self._place, self.daemon()):
            self._wait_until_ready()

    def daemon(self) -> processes.Daemon:
        """The server as a process, with its folder, certificates and settings in place."""
        files.private_folder(self._folder)
        certificate, key = tls.issue(self._place.cloud, [REGISTRY_NAME, str(REGISTRY)], "registry")
        files.private_folder(self._trust)
        shutil.copyfile(tls.authority(self._place.cloud), self._trust / "ca.crt")
        trusted = self._folder / "tokens.crt"
        files.write(trusted, registry_tokens.signer(self._place.cloud)[0])
        file = self._folder / "config.yml"
        settings = configuration(self._folder / "data", f"{REGISTRY}:443", (certificate, key), trusted)
        files.write(file, yaml.safe_dump(settings))
        return processes.Daemon(
            name=DAEMON,
            argv=("docker-registry", "serve", str(file)),
            netns=self._netns,
            env={"OTEL_TRACES_EXPORTER": "none"},
        )

    def _wait_until_ready(self) -> None:
        ask = functools.partial(self._ask, "GET", "/v2/")
        if error := processes.refusal(self._place, DAEMON, ask, START_LIMIT, (WorldError,)):
            log = processes.log_file(self._place, DAEMON)
            raise WorldError(f"the image registry does not start: {error}. Its log: {log}")

    # ---- what it holds ----
    def images(self, registry: str) -> list[StoredImage]:
        """Every image of a registry, by repository and time."""
        found = [image for folder in self._repositories(registry) for image in self._images_in(folder)]
        return sorted(found, key=lambda image: (image.repository, image.created, image.digest))

    def _repositories(self, registry: str) -> Iterator[Path]:
        """The folders of a registry's repositories; their names may have slashes."""
        for folder in (self._data / "repositories" / registry).rglob(MANIFESTS):
            yield folder.parent

    def _images_in(self, folder: Path) -> Iterator[StoredImage]:
        manifests = folder / MANIFESTS
        tags: dict[str, list[str]] = {}
        for link in manifests.glob("tags/*/current/link"):
            tags.setdefault(link.read_text().strip(), []).append(link.parent.parent.name)
        for link in manifests.glob("revisions/sha256/*/link"):
            try:
                digest, created = link.read_text().strip(), link.stat().st_mtime
                manifest = json.loads(self._blob(digest).read_text())
            except FileNotFoundError:
                continue  # it was deleted while we looked
            layers = tuple((layer["digest"], layer["size"]) for layer in manifest.get("layers", ()))
            config = manifest.get("config", {"digest": "", "size": 0})
            yield StoredImage(
                repository=str(folder.relative_to(self._data / "repositories")),
                digest=digest,
                tags=tuple(sorted(tags.get(digest, ()))),
                size=sum(size for _, size in layers),
                created=created,
                config=(config["digest"], config["size"]),
                layers=layers,
            )

    def _blob(self, digest: str) -> Path:
        kind, _, number = digest.partition(":")
        return self._data / "blobs" / kind / number[:2] / number / "data"

    # ---- podman as its client ----
    def pull(self, token: str, reference: str) -> str:
        """Pull an image into podman's store as the holder of an IAM token does, or as anybody without one; its id there.
        Raises CommandError."""
        with self._place.pulled.open("a") as names:
            names.write(f"{reference}\n")
        with self.login(token) as options:
            return shell.podman("pull", "--quiet", *options, reference, netns=self._netns).strip()

    @contextmanager
    def login(self, token: str) -> Iterator[tuple[str, ...]]:
        """The options with which podman pulls and pushes as the holder of an IAM token; nothing secret is among them."""
        basic = base64.b64encode(f"iam:{token}".encode()).decode()
        known = {REGISTRY_NAME: {"auth": basic}} if token else {}
        with tempfile.NamedTemporaryFile("w", dir=self._folder) as logins:  # mode 0600
            json.dump({"auths": known}, logins)
            logins.flush()
            yield "--authfile", logins.name, "--cert-dir", str(self._trust)

    # ---- deleting ----
    def delete_image(self, repository: str, digest: str) -> None:
        """Delete an image with its tags; one that is gone is fine."""
        access = [{"type": "repository", "name": repository, "actions": ["pull", "delete"]}]
        self._ask("DELETE", f"/v2/{repository}/manifests/{digest}", access)

    def delete_registry(self, registry: str) -> None:
        """Delete all images of a registry. Layers that nobody names any more stay in the folder until the rehearsal ends."""
        shutil.rmtree(self._data / "repositories" / registry, ignore_errors=True)

    def _ask(self, method: str, path: str, access: list[dict] | None = None) -> None:
        """One request, with a token that allows `access`. That there is no such thing, or no token, is an answer too."""
        request = urllib.request.Request(f"https://{REGISTRY}{path}", method=method)
        if access:
            request.add_header("Authorization", f"Bearer {registry_tokens.token(self._place.cloud, 'cloud', access)}")
        trust = ssl.create_default_context(cafile=str(tls.authority(self._place.cloud)))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        try:
            with shell.entered(self._netns), opener.open(request, timeout=ANSWER_LIMIT):
                pass
        except urllib.error.HTTPError as error:
            if not (error.code == 404 or (error.code == 401 and not access)):
                said = error.read(500).decode(errors="replace")
                raise WorldError(f"the image registry: {method} {path}: {error.code} {said}") from None
        except OSError as error:
            raise WorldError(f"the image registry: {error}. `rehearsal up` starts it again") from None
