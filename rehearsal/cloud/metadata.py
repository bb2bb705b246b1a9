"""An instance's metadata service, the part that programs take their IAM token from. HTTP on loopback, for tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105  a path


@contextmanager
def serve(cloud: Cloud, account: str) -> Iterator[str]:
    """Answer as the metadata service of an instance with this service account; yields host:port for YC_METADATA_ADDR."""

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Metadata-Flavor") != "Google":
                return self.send_error(403, "Missing Metadata-Flavor:Google header")
            if self.path != TOKEN:
                return self.send_error(404)
            token, expires = cloud.identity.grant(account)
            body = {"access_token": token, "expires_in": int(expires - time.time()), "token_type": "Bearer"}
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())
            return None

        def log_message(self, *_: object) -> None:
            """Say nothing: the journal notes what the token is used for."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
