"""Triton's model control API as a neighbour of what is tested here.

The real Triton answers in the role's Molecule scenario; this one reads the same repository and refuses the same things.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Neighbour(ThreadingHTTPServer):
    """Serves the versions that config.pbtxt names, unloads with a delay, refuses `junk`."""

    def __init__(self, repository: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repository = repository
        self.index: dict[str, dict[str, tuple[str, bytes]]] = {}  # model to version to state and the bytes it loaded
        self.loads = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def serving(self, model: str = "digits") -> dict[str, bytes]:
        """What a prediction would use: version to the bytes that were loaded."""
        return {v: data for v, (state, data) in self.index.get(model, {}).items() if state == "READY"}

    def load(self, model: str) -> str | None:
        """None, or why not; a refusal leaves what serves."""
        self.loads += 1
        text = (self.repository / model / "config.pbtxt").read_text()
        numbers = re.search(r"versions: \[([^]]*)\]", text)[1].replace(" ", "").split(",")
        content = {}
        for number in numbers:
            content[number] = (self.repository / model / number / "model.onnx").read_bytes()
            if content[number].startswith(b"junk"):
                return f"load failed for model '{model}': version {number}: InvalidProtobuf\n\nAt:\n  a stack\n"
        known = self.index.setdefault(model, {})
        self.unload_versions(model, known.keys() - content.keys())
        known.update({number: ("READY", data) for number, data in content.items()})
        return None

    def unload_versions(self, model: str, numbers: set[str]) -> None:
        for number in numbers:
            self.index[model][number] = ("UNLOADING", b"")
            threading.Timer(0.5, self.index[model].__setitem__, (number, ("UNAVAILABLE", b""))).start()


class Handler(BaseHTTPRequestHandler):
    server: Neighbour

    def do_GET(self) -> None:
        self.answer(200, None)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v2/repository/index":
            rows = [
                {"name": model, "version": number, "state": state}
                for model, versions in self.server.index.items()
                for number, (state, _) in versions.items()
            ]
            return self.answer(200, rows)
        model, verb = self.path.split("/")[-2:]
        if verb == "unload":
            self.server.unload_versions(model, set(self.server.index.get(model, {})))
            return self.answer(200, None)
        refusal = self.server.load(model)
        return self.answer(400 if refusal else 200, {"error": refusal} if refusal else None)

    def answer(self, status: int, content: object) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""
