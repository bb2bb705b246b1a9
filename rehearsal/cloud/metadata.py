"""An instance's metadata service, the part that programs take their IAM token from."""

from __future__ import annotations

import functools
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Grant = Callable[[str], tuple[str, float]]  # a token of a service account, and when it ends (Identity.grant)
TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105  a path


class Service(ThreadingHTTPServer):
    """Answers at a listening socket, from `start` to `stop`, over HTTP as the real one does.

    `account_of` says whose token somebody at an IP address gets: the id of a service account, or nothing."""

    daemon_threads = True

    def __init__(self, grant: Grant, account_of: Callable[[str], str | None], listening: socket.socket) -> None:
        super().__init__(listening.getsockname(), functools.partial(Visitor, grant, account_of), False)
        self.socket.close()
        self.socket = listening

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="metadata", daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Visitor(BaseHTTPRequestHandler):
    """One connection."""

    timeout = 30  # seconds that it may say nothing

    def __init__(self, grant: Grant, account_of: Callable[[str], str | None], *arguments: Any) -> None:
        self._grant, self._account_of = grant, account_of
        super().__init__(*arguments)

    def do_GET(self) -> None:
        if self.headers.get("Metadata-Flavor") != "Google":
            return self.send_error(403, "Missing Metadata-Flavor:Google header")
        account = self._account_of(self.client_address[0]) if self.path == TOKEN else None
        if not account:
            return self.send_error(404)
        token, expires = self._grant(account)
        body = {"access_token": token, "expires_in": int(expires - time.time()), "token_type": "Bearer"}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
        return None

    def log_message(self, *_: object) -> None:
        """Say nothing: the journal notes what the token is used for."""
