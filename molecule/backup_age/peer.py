"""A cloud to ask: the metadata service on port 9080, the REST API of the databases on port 9444, over TLS.

Its answers have the shape of the real ones. It says 403 while there is a file `refuse` beside it."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(__file__).parent
METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
TOKEN = "t1.a-token-for-tests"
CLUSTERS = "/managed-postgresql/v1/clusters/"


def backup(number: int, created: str | None, status: str = "DONE") -> dict:
    """One backup as the API shows it; one that is being made has no `createdAt` yet."""
    told = {"id": f"c9qmain:base_{number}", "folderId": "b1gfolder", "sourceClusterId": "c9qmain", "size": "1048576"}
    times = {"startedAt": "2026-11-01T00:00:00Z"} | ({"createdAt": created} if created else {})
    return told | times | {"type": "AUTOMATED", "method": "BASE", "status": status}


# The newest is not the first, and not on the first page.
PAGES = {
    "": {
        "backups": [backup(1, "2026-11-20T03:00:00Z"), backup(2, "2026-11-19T03:00:00.123456789Z")],
        "nextPageToken": "2/=",
    },
    "2/=": {"backups": [backup(3, "2026-11-21T03:04:05.500Z"), backup(4, None, "CREATING")]},
}
ANSWERS = {"c9qmain": PAGES, "c9qempty": {"": {}}}


class Peer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(*self.found())

    def found(self) -> tuple[int, dict]:
        if self.server.server_port == 9080:
            known = self.path == METADATA and self.headers["Metadata-Flavor"] == "Google"
            return (200, {"access_token": TOKEN, "expires_in": 42000, "token_type": "Bearer"}) if known else (404, {})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"code": 16, "message": "The token is invalid"}
        if (FOLDER / "refuse").exists():
            return 403, {"code": 7, "message": "Permission denied"}
        asked = urlsplit(self.path)
        pages = ANSWERS.get(asked.path.removeprefix(CLUSTERS).removesuffix("/backups"))
        page = (pages or {}).get(parse_qs(asked.query).get("pageToken", [""])[0])
        return (404, {"code": 5, "message": f"{asked.path} not found"}) if page is None else (200, page)

    def answer(self, status: int, said: dict) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
api, metadata = (ThreadingHTTPServer(("127.0.0.1", port), Peer) for port in (9444, 9080))
api.socket = context.wrap_socket(api.socket, server_side=True)
threading.Thread(target=metadata.serve_forever, daemon=True).start()
api.serve_forever()
