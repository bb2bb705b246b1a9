"""A running emulator's side door: a Unix socket, mode 0600, in its folder. It reaches across network namespaces.

One JSON object a line goes in, {"call": "faults.add", "method": "vpc.v1.*", "count": 2}; one comes out, {"ok": ...} or
{"error": "..."}."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rehearsal.cloud.journal import summary
from rehearsal.cloud.roles import permissions

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

NAME = "admin.sock"
# What has a name that another one of its folder has; record sets of a name differ by their type.
DOUBLE = (
    "SELECT api, name FROM resources WHERE name != '' AND api != 'dns.v1.RecordSet'"
    " GROUP BY api, scope, name HAVING count(*) > 1"
)
CALLS = (
    *("faults.add", "faults.clear", "faults.list", "delay.set", "lag.set"),
    *("quotas.list", "quotas.set", "roles.grant", "resume", "status"),
)


class AdminError(Exception):
    """The emulator could not be reached, or refused the order."""


@contextlib.contextmanager
def short(folder: Path) -> Iterator[str]:
    """A path to the socket that fits into the 108 bytes of a socket's address, however deep the folder is."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{NAME}"
    finally:
        os.close(handle)


class Admin:
    """Serves the side door in a thread."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        self._path = folder / NAME
        self._path.unlink(missing_ok=True)
        admin = self

        class Visitor(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(json.dumps(admin.answer(line)).encode() + b"\n")

        with short(folder) as path:
            self._server = socketserver.ThreadingUnixStreamServer(path, Visitor)
        self._server.daemon_threads = True
        self._path.chmod(0o600)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="admin", daemon=True).start()

    def answer(self, line: bytes) -> dict:
        """Obey one order."""
        try:
            order = json.loads(line)
            return {"ok": self._obey(order.pop("call"), order)}
        except (ValueError, TypeError, KeyError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _obey(self, call: str, order: dict) -> object:
        faults = self.cloud.faults
        if call == "faults.add":
            return asdict(faults.add(**order))
        if call == "faults.clear":
            return faults.clear()
        if call == "faults.list":
            return faults.listed()
        if call == "delay.set":
            self.cloud.delay = float(order["seconds"])
            return self.cloud.delay
        if call == "lag.set":
            self.cloud.lag = float(order["seconds"])
            return self.cloud.lag
        if call == "quotas.list":
            return self.cloud.quotas.listed(self.cloud)
        if call == "quotas.set":
            return self.cloud.quotas.set(order["name"], int(order["limit"]))
        if call == "roles.grant":
            return self._grant(order["role"])
        if call == "resume":
            return self.cloud.world.resume(self.cloud)
        if call == "status":
            return self._status()
        raise KeyError(f"{call} is none of {', '.join(CALLS)}")

    def _grant(self, role: str) -> bool:
        """Give the account of the playbooks a role on the whole cloud; False where it had it. Raises ValueError."""
        if not permissions(role):
            raise ValueError(f"there is no role {role}")
        _, account = self.cloud.identity.oauth
        return self.cloud.identity.bind(self.cloud.cloud_id, role, "serviceAccount", account)

    def _status(self) -> dict:
        counted = self.cloud.store.query("SELECT api, count(*) FROM resources GROUP BY api ORDER BY api")
        bound = self.cloud.store.query("SELECT count(*) FROM bindings")[0][0]
        double = self.cloud.store.query(DOUBLE)
        pending = self.cloud.store.query("SELECT id, method, resource FROM operations WHERE done = 0 ORDER BY seq")
        return {
            "address": self.cloud.address,
            "resources": dict(counted),
            "bindings": bound,
            "duplicates": [f"{api} {name}" for api, name in double],
            "pending": [dict(zip(("id", "method", "resource"), row, strict=True)) for row in pending],
            "faults": self.cloud.faults.listed(),
            "calls": summary(self.cloud.journal.entries()),
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def ask(folder: Path, call: str, *, patience: float = 30, what: str = "the emulated cloud", **order: object) -> Any:
    """Give an order to the emulator whose folder this is, or to `what` has such a door there, and wait `patience` seconds
    for its answer. Raises AdminError."""
    try:
        with socket.socket(socket.AF_UNIX) as door, short(folder) as path:
            door.settimeout(patience)
            door.connect(path)
            door.sendall(json.dumps({"call": call, **order}).encode() + b"\n")
            with door.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b'{"error": "no answer"}')
    except OSError as error:
        raise AdminError(f"{what} in {folder} does not answer: {error}") from error
    if "error" in answer:
        raise AdminError(answer["error"])
    return answer["ok"]
