"""A rehearsal with serverless containers, put there as the cloud's operations do, and the ways to them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from server_clients import rehearsal
from yandex.cloud.serverless.apigateway.v1.apigateway_pb2 import ApiGateway
from yandex.cloud.serverless.containers.v1.container_pb2 import Container, Revision

from rehearsal import lifecycle, processes
from rehearsal.cloud.identity import Identity
from rehearsal.cloud.store import Store
from rehearsal.places import SERVERLESS, Place
from rehearsal.serverless.instances import LABEL
from rehearsal.world import images, names, shell, topology
from rehearsal.world.serverless import DOCUMENT, Serverless

APPLICATION = Path(__file__).with_name("serverless_application.py").read_text()
PLACE = Place("e2eserverless")
INVOKER = "serverless-containers.containerInvoker"
MB = 1 << 20


class Stage:
    """The cloud's side of serverless containers, with the tokens and roles of the rehearsal's own cloud."""

    def __init__(self, place: Place) -> None:
        self.place, self.world = place, Serverless(place)
        self.identity = Identity(Store(place.cloud / "cloud.sqlite"), set())
        self.cloud_id = "cloud"
        self._kept: dict[str, list[Any]] = {"Container": [], "Revision": [], "ApiGateway": []}
        self._facts: dict[str, dict[str, Any]] = defaultdict(dict)
        names.write(place, names.snapshot(place, topology.Topology((), {}, {}, {}, {}), []))

    # ---- what a World reads ----
    def all(self, api: str) -> list[Any]:
        return self._kept[api.rpartition(".")[2]]

    def get(self, api: str, ident: str) -> None:
        return None

    def facts(self, api: str, ident: str) -> dict[str, Any]:
        return self._facts[ident]

    # ---- what operations do ----
    def container(self, name: str, *, public: bool = True) -> str:
        """A container; its id."""
        made = Container(id=f"bba{name}", name=name, folder_id="folder", status=Container.ACTIVE)
        self._kept["Container"].append(made)
        if public:
            self.allow(made.id, "allUsers", "system")
        return made.id

    def allow(self, container: str, subject: str, kind: str = "serviceAccount") -> None:
        self.identity.bind(container, INVOKER, kind, subject)
        self.world.sync(self)

    def deploy(self, container: str, ident: str, **settings: Any) -> None:
        """Put a revision of the test's application. Raises WorldError, and leaves the old one, where it does not start."""
        self._put(self.revision(container, ident, **settings))

    def revision(self, container: str, ident: str, **settings: Any) -> Revision:
        made = Revision(
            id=ident, container_id=container, status=Revision.CREATING, concurrency=settings.get("concurrency", 1)
        )
        made.image.image_url = settings.get("image", images.reference(images.DEFAULT))
        if "command" in settings:
            made.image.command.command.append(settings["command"])
        else:
            made.image.command.command.extend(["python3", "-u", "-c"])
            made.image.args.args.append(settings.get("program", APPLICATION))
        made.image.environment.update({"REVISION": ident, **settings.get("environment", {})})
        made.resources.memory, made.resources.cores = settings.get("memory", 128) * MB, 1
        made.resources.core_fraction = 100
        made.execution_timeout.CopyFrom(Duration(seconds=settings.get("timeout", 20)))
        made.scaling_policy.zone_instances_limit = settings.get("limit", 1)
        made.scaling_policy.zone_requests_limit = settings.get("requests", 0)
        made.provision_policy.min_instances = settings.get("provisioned", 0)
        made.service_account_id = settings.get("account", "")
        return made

    def roll_back(self, container: str, ident: str) -> None:
        self._put(next(item for item in self._kept["Revision"] if item.id == ident))

    def _put(self, revision: Revision) -> None:
        revision.image.image_digest = self.world.put_revision(self, Container(id=revision.container_id), revision)
        for other in self._kept["Revision"]:
            if other.container_id == revision.container_id:
                other.status = Revision.OBSOLETE
        revision.status = Revision.ACTIVE
        if revision not in self._kept["Revision"]:
            self._kept["Revision"].append(revision)
        self.world.sync(self)

    def delete(self, container: str) -> None:
        """Delete a container with its revisions."""
        self.world.delete_container(self, Container(id=container))
        for kind, field in (("Container", "id"), ("Revision", "container_id")):
            self._kept[kind] = [item for item in self._kept[kind] if getattr(item, field) != container]

    def gateway(self, name: str, paths: dict[str, Any]) -> str:
        """An API gateway; its host name."""
        made = ApiGateway(id=f"d5d{name}", name=name, status=ApiGateway.ACTIVE)
        self._facts[made.id][DOCUMENT] = json.dumps({"openapi": "3.0.0", "info": {}, "paths": paths})
        self._kept["ApiGateway"].append(made)
        self.world.put_gateway(self, made)
        return f"{made.id}.apigw.yandexcloud.net"

    # ---- ways in ----
    def ask(self, host: str, path: str = "/", *, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """One request from the rehearsal's internet, the certificate checked; a container's id is a host, too."""
        name = host if "." in host else f"{host}.containers.yandexcloud.net"
        with shell.entered(self.place.netns("internet")):
            plain = socket.create_connection((str(SERVERLESS), 443), timeout=60)
        trusted = ssl.create_default_context(cafile=self.place.cloud / "ca.pem")
        connection = HTTPConnection(name)
        connection.sock = trusted.wrap_socket(plain, server_hostname=name)
        try:
            connection.request(method, path, body or None, {k.replace("_", "-"): v for k, v in headers.items()})
            got = connection.getresponse()
            return Answer(got.status, got.read(), dict(got.getheaders()))
        finally:
            connection.close()

    def instances(self, revision: str) -> list[str]:
        """The instances of a revision that podman runs."""
        chosen = ("--filter", f"label={self.place.label}", "--filter", f"label={LABEL}={revision}")
        listed = shell.podman("ps", *chosen, "--format", "{{.Names}}").split()
        return [name.removeprefix(self.place.prefix) for name in listed]

    def count(self, revision: str) -> int:
        return len(self.instances(revision))

    def idle(self, seconds: float) -> None:
        rehearsal("serverless", self.place.name, "--idle", str(seconds))

    def front(self) -> int | None:
        return processes.running(self.place, lifecycle.FRONT)


class Answer:
    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def said(self) -> Any:
        return json.loads(self.body)


class Load:
    """Clients that ask without a pause until they are told to end, and what they were answered."""

    def __init__(self, ask: Callable[[], Answer], clients: int) -> None:
        self._ask, self._end, self.answers = ask, threading.Event(), list[Answer]()
        self._pool = ThreadPoolExecutor(clients)
        self._running = [self._pool.submit(self._go_on) for _ in range(clients)]

    def _go_on(self) -> None:
        while not self._end.is_set():
            self.answers.append(self._ask())

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._pool.shutdown()
        [each.result() for each in self._running]

    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)


@contextmanager
def staged(place: Place, folder: Path) -> Iterator[Stage]:
    """A rehearsal of its own; whatever happens, nothing of it stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGECRAFT_STATE", str(folder / "state"))
        lifecycle.down(place)
        rehearsal("up", place.name)
        try:
            yield Stage(place)
        finally:
            lifecycle.down(place)
            assert not lifecycle.leftovers(place)
