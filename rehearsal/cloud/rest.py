"""The API over HTTPS and JSON, for programs without an SDK: what the protos' own annotations say, reading only; and the
tokens of the image registry."""

from __future__ import annotations

import functools
import json
import logging
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from rehearsal.cloud import descriptors, entrance, registry_tokens
from rehearsal.cloud.errors import ApiError, Code, invalid

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

log = logging.getLogger(__name__)
IDLE = 30  # seconds that a connection may say nothing
# HTTP's word for each of gRPC's codes, as google/rpc/code.proto pairs them.
STATUSES = {
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
}  # what is not here is 500


def routes(services: list[str]) -> list[tuple[re.Pattern[str], MethodDescriptor]]:
    """The paths that the annotations give to the methods that read; a word comes before an id in its place."""
    found = []
    for name in services:
        for method in descriptors.service(name).methods:
            if template := method.GetOptions().Extensions[annotations_pb2.http].get:
                pieces = re.split(r"\{(\w+)\}", template)
                texts, fields = pieces[::2], pieces[1::2]
                pattern = re.escape(texts[0])
                for field, text in zip(fields, texts[1:], strict=True):
                    pattern += f"(?P<{field}>[^/:]+){re.escape(text)}"
                found.append((re.compile(pattern), method))
    return sorted(found, key=lambda route: route[0].groups)


def parse(method: MethodDescriptor, told: dict[str, list[str]]) -> Message:
    """The request that the fields of a path and of a query make. Raises INVALID_ARGUMENT."""
    request, fields = descriptors.new(method.input_type), {}
    for field in method.input_type.fields:
        for name in {field.name, field.json_name} & told.keys():
            fields[field.name] = told.pop(name) if field.is_repeated else told.pop(name)[-1]
    if told:
        raise invalid(f"{', '.join(told)}: no parameter of {descriptors.short(method)}")
    try:
        return json_format.ParseDict(fields, request)
    except json_format.ParseError as error:
        raise invalid(str(error)) from None


class Rest:
    """Serves in threads, from `start` to `stop`; `address` is its host:port. Raises OSError where it cannot listen."""

    def __init__(self, cloud: Cloud, where: tuple[str, int], certificate: Path, key: Path) -> None:
        self._cloud = cloud
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = Server(where, functools.partial(Visitor, self))
        # Each connection shakes hands in its own thread: nobody waits for somebody else's.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = "{}:{}".format(*self._server.server_address)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="rest", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @functools.cached_property
    def _routes(self) -> list[tuple[re.Pattern[str], MethodDescriptor]]:
        return routes(list(self._cloud.services))

    def get(self, target: str, headers: dict[str, str], client: str = "127.0.0.1") -> dict[str, Any]:
        """Answer a request for a path with its query from the address `client`. Raises ApiError."""
        path, query = urlsplit(target).path, urlsplit(target).query
        if path == registry_tokens.PATH:
            return registry_tokens.answer(self._cloud, target, headers, client)
        for pattern, method in self._routes:
            if found := pattern.fullmatch(path):
                told = parse_qs(query) | {name: [unquote(value)] for name, value in found.groupdict().items()}
                return json_format.MessageToDict(entrance.answer(self._cloud, method, parse(method, told), headers))
        raise ApiError(Code.NOT_FOUND, "Not Found")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.info("rest: %s: %s", client_address, sys.exception())  # somebody who does not trust us, or has gone


class Visitor(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE

    def __init__(self, rest: Rest, *arguments: Any) -> None:
        self._rest = rest
        super().__init__(*arguments)

    def do_GET(self) -> None:
        try:
            headers = {name.lower(): text for name, text in self.headers.items()}
            status, said = 200, self._rest.get(self.path, headers, self.client_address[0])
        except ApiError as error:
            status, said = STATUSES.get(error.code, 500), json_format.MessageToDict(error.status())
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the journal notes the calls."""
