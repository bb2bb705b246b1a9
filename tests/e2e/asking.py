"""A client of the stage that keeps asking, and remembers what it was refused."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from rehearsal import places


class Client(threading.Thread):
    """Asks for a prediction through the public HTTPS address a few times a second, each time by a new connection.

    It trusts what `ca.pem` says at the moment, as a client that follows the stage's CA does, and keeps its first API key.
    """

    def __init__(self, stage: str, pause: float = 0.15) -> None:
        super().__init__(daemon=True)
        self.state, self.pause = places.state() / stage, pause
        entry = yaml.safe_load((self.state / "entry.json").read_text())
        self.host, self.path = entry["hostname"], f"/v1/predict/{entry['model']}"
        forwards = yaml.safe_load((places.Place(stage).folder / "forwards.json").read_text())
        self.port = next(f["listen"][1] for f in forwards if f["name"] == "api")
        self.body = (self.state / "example.json").read_bytes()
        self.key = api_key(self.state)
        self.answered, self.repeated, self.failures = 0, 0, list[str]()
        self.ended = threading.Event()

    def ask(self, key: str = "", authority: str = "") -> tuple[int, Any]:
        """One prediction: status and body. Raises OSError (of which ssl.SSLError is one) where no trusted answer comes."""
        trusted = ssl.create_default_context(cadata=authority or (self.state / "ca.pem").read_text())
        connection = Connection(self.host, self.port, context=trusted, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
            connection.request("POST", self.path, self.body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def _ask_again(self) -> tuple[int, Any]:
        """As an HTTP client does where a connection is closed without a byte of an answer (RFC 9110, 9.2.2): once more.

        A server's worker that leaves closes connections that have brought no request yet.
        """
        try:
            return self.ask()
        except (http.client.RemoteDisconnected, ConnectionResetError, ssl.SSLEOFError):
            self.repeated += 1
            return self.ask()

    def run(self) -> None:
        while not self.ended.wait(self.pause):
            try:
                status, body = self._ask_again()
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failures.append(f"{time.strftime('%X')} {type(error).__name__}: {error}")
                continue
            if status == 200:
                self.answered += 1
            else:
                self.failures.append(f"{time.strftime('%X')} {status} {body}")

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join(30)


class Connection(http.client.HTTPSConnection):
    """To the stage's name by the forward on 127.0.0.1."""

    def connect(self) -> None:
        self.sock = self._create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)


def api_key(state: Path) -> str:
    """The API key that the stage gives its person."""
    return re.search(r"Bearer (\S+?)\"", (state / "curl.conf").read_text())[1]
