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

from rehearsal import forward, places


class Client(threading.Thread):
    """Asks for a prediction through the public HTTPS address a few times a second, each time by a new connection.

    It trusts what the stage says at the moment, as a client that follows the stage's CA does, and keeps its first API key.
    """

    def __init__(self, stage: str, pause: float = 0.15) -> None:
        super().__init__(daemon=True)
        self.state, self.pause = places.state() / stage, pause
        entry = yaml.safe_load((self.state / "entry.json").read_text())
        self.host, self.path = entry["hostname"], f"/v1/predict/{entry['model']}"
        self.port = next(each.listen[1] for each in forward.listed(places.Place(stage)) if each.name == "api")
        self.body = (self.state / "example.json").read_bytes()
        self.key = api_key(self.state)
        self.header = said(self.state, r'header = "(\S+?):(.*?)\S+"')
        self.answered, self.repeated, self.failures = 0, 0, list[str]()
        self.ended = threading.Event()

    def ask(self, key: str = "", authority: str = "") -> tuple[int, Any]:
        """One prediction: status and body. Raises OSError (of which ssl.SSLError is one) where no trusted answer comes."""
        return self._request("POST", self.path, self.body, key, authority)

    def get(self, path: str) -> tuple[int, Any]:
        """What the API says there."""
        return self._request("GET", path, None)

    def _request(
        self, method: str, path: str, body: bytes | None, key: str = "", authority: str = ""
    ) -> tuple[int, Any]:
        where = said(self.state, 'cacert = "(.+)"')[0]
        trusted = ssl.create_default_context(cadata=authority or Path(where).read_text())
        connection = Connection(self.host, self.port, context=trusted, timeout=20)
        try:
            name, scheme = self.header
            headers = {name: f"{scheme.lstrip()}{key or self.key}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
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
    return said(state, r'header = ".*\s(\S+?)"')[0]


def said(state: Path, pattern: str) -> tuple[str, ...]:
    """What the first line of the person's curl.conf that fits says."""
    return re.search(pattern, (state / "curl.conf").read_text()).groups()
