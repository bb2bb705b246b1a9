"""The file that says what the front serves. The World writes it, the front looks at it again before every answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from rehearsal import files
from rehearsal.places import Place


class Vpc(msgspec.Struct, frozen=True):
    """A VPC network that instances have a way into: the namespace that routes it, its resolver, its subnets' ranges."""

    router: str
    resolver: str
    ranges: tuple[str, ...]


class Revision(msgspec.Struct, frozen=True):
    """One revision, ready to run. Memory is in bytes, the timeout in seconds; `instances` and `requests` are limits over
    all zones together, 0 requests mean no limit."""

    id: str
    container: str
    image: str
    memory: int
    cores: int
    core_fraction: int
    concurrency: int
    timeout: float
    instances: int
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    environment: dict[str, str] = {}
    account: str = ""
    provisioned: int = 0
    requests: int = 0
    vpc: Vpc | None = None


class Container(msgspec.Struct, frozen=True):
    """A container with its live revision, and who may invoke it: ids of subjects."""

    id: str
    revision: Revision | None = None
    invokers: tuple[str, ...] = ()

    def admits(self, principal: str) -> bool:
        """Whether a caller, '' for one without a token, may invoke it."""
        known = {principal, "allAuthenticatedUsers"} if principal else set()
        return bool(set(self.invokers) & (known | {"allUsers"}))


class Route(msgspec.Struct, frozen=True):
    """What answers a method (`get`, or that for any) at a path (`/things/{id}`, `/{rest+}`)."""

    path: str
    method: str
    integration: dict[str, Any]


class Gateway(msgspec.Struct, frozen=True):
    """An API gateway: the host names that lead to it, its operations, and its time for a call in seconds, 0 for none."""

    id: str
    names: tuple[str, ...]
    routes: tuple[Route, ...]
    timeout: float = 0.0


class Served(msgspec.Struct, frozen=True):
    """Everything. `certificates` are files (chain and key) for the host names that gateways have been given."""

    containers: dict[str, Container] = {}
    gateways: dict[str, Gateway] = {}
    certificates: dict[str, str] = {}

    def revision(self, ident: str) -> Revision | None:
        """A revision by its id, where it is the live one of its container."""
        live = (container.revision for container in self.containers.values())
        return next((revision for revision in live if revision and revision.id == ident), None)


def folder(place: Place) -> Path:
    return place.folder / "serverless"


def file_of(place: Place) -> Path:
    return folder(place) / "served.json"


def write(place: Place, served: Served) -> None:
    """Hand the front what to serve from now on; it holds secrets of revisions, and only its owner reads it."""
    files.write(file_of(place), msgspec.json.encode(served))


class Reader:
    """The file, read again when it has changed."""

    def __init__(self, place: Place) -> None:
        self._file = file_of(place)
        self._stamp: tuple[int, int] | None = None
        self._served = Served()

    def __call__(self) -> Served:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            self._served, self._stamp = Served(), None
            return self._served
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._served, self._stamp = msgspec.json.decode(self._file.read_bytes(), type=Served), stamp
        return self._served
