"""A stage's bucket as a publisher and an administrator use it, and the way to it, which can break."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from stagecraft.predictions import Kept
from storage import BUCKET, Storage

from inference_api.catalog import MANIFEST, MODEL


class Bucket:
    """One test's part of the bucket: models that are published, and predictions that are kept."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self.storage, self.prefix = storage, prefix
        self.models: dict[str, dict[str, Any]] = {}

    def url(self, folder: str) -> str:
        return f"s3://{BUCKET}/{self.prefix}/{folder}"

    def publish(self, model: str, version: str, data: bytes, *, stored: bytes | None = b"", file: str = MODEL) -> None:
        """Publish a version; `stored` lies in the bucket instead of what the manifest says, None for nothing at all."""
        lies = data if stored == b"" else stored
        if lies is not None:
            self.storage.overwrite(f"{self.prefix}/models/{model}/{version}/{file}", lies)
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        self.models.setdefault(model, {"versions": {}})["versions"][version] = {"files": {file: entry}}
        self.write_manifest(json.dumps({"models": self.models}).encode())

    def write_manifest(self, data: bytes) -> None:
        self.storage.overwrite(f"{self.prefix}/models/{MANIFEST}", data)

    def rows(self) -> list[dict[str, Any]]:
        """Every prediction on record, read by pyarrow."""
        return Kept(self.storage.client, BUCKET, f"{self.prefix}/predictions").rows()

    def ids(self) -> list[str]:
        """The ids on record, sorted: one that is there twice is there twice."""
        return sorted(row["id"] for row in self.rows())


class Gate:
    """A way to the storage that can be shut, lose what the storage answers, or break in the middle of a request."""

    def __init__(self, endpoint: str) -> None:
        target = urlsplit(endpoint)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = self._answers = True
        self._limit: int | None = None  # bytes of a request, as they are on the wire
        self.cuts = 0  # requests that were cut off
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        """Nobody gets through any more, and who is through is cut off."""
        self._open = False
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def lose_answers(self) -> None:
        """Requests arrive, on the connections that there are, and their answers do not come back."""
        self._answers = False

    def cut_after(self, count: int) -> None:
        """A request breaks off after so many bytes, with the connection."""
        self._limit = count

    def open(self) -> None:
        self.shut()
        self._open = self._answers = True
        self._limit = None

    def close(self) -> None:
        self.shut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self._open:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._sockets |= {client, server}
                sent = [0]  # since the storage said something: that ends a request
                for source, sink, answers in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._copy, args=(source, sink, answers, sent), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, answers: bool, sent: list[int]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers:
                    sent[0] = 0
                    if self._answers:
                        sink.sendall(data)
                    continue
                left = len(data) if self._limit is None else max(self._limit - sent[0], 0)
                sink.sendall(data[:left])
                if left < len(data):
                    self.cuts += 1
                    break
                sent[0] += len(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._sockets.discard(one)
