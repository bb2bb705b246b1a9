"""The quick door: predictions are taken in front of the router, everything else goes through to FastAPI.

It bypasses FastAPI's error handlers, so it answers every error itself; `routes.py` declares the same paths for the
documentation, `connection.py` takes the plain ones even before, and a test compares all three.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple

from inference_api import codecs, problems
from inference_api.codecs import Codec
from inference_api.ids import accepted_request_id
from inference_api.problems import Answer
from inference_api.service import GONE, Call, ClientGoneError, Service, prediction_ids

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREDICT_PREFIX = "/v1/predict/"
INFER_PREFIX = "/v2/models/"
SERVICE = "service"  # where in the server's state the connections find it
KEY_HEADER = b"x-api-key"  # where what stands in front keeps `authorization` for itself
DISCARD_LIMIT = 16  # times the body limit: so much of a body that is too large is read, so that the client sees the 413


class Target(NamedTuple):
    """What a path asks for."""

    codec: Codec
    model: str
    version: str


@lru_cache(maxsize=1024)
def target_of(path: str) -> Target | None:
    """The prediction that the path names, if it names one."""
    if path.startswith(PREDICT_PREFIX):
        model = path[len(PREDICT_PREFIX) :]
        return Target(codecs.PREDICT, model, "") if model and "/" not in model else None
    if not path.startswith(INFER_PREFIX):
        return None
    match path[len(INFER_PREFIX) :].split("/"):
        case [model, "infer"] if model:
            return Target(codecs.INFER, model, "")
        case [model, "versions", version, "infer"] if model and version:
            return Target(codecs.INFER, model, version)
    return None


class Front:
    """An ASGI application around another. The server's start and end are the service's."""

    def __init__(self, app: App, service: Service) -> None:
        self._app, self._service = app, service
        self._limit = service.settings.body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            target = target_of(scope["path"])
            if target is not None:
                await self._answer(target, scope, receive, send)
                return
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What goes wrong is raised: the server says so and ends."""
        await receive()
        await self._service.start()
        scope["state"][SERVICE] = self._service
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        key, request_id, length = head(scope["headers"])
        prediction_id, request_id = prediction_ids(request_id)

        async def body() -> bytes:
            return await read_body(receive, self._limit, length)

        call = Call(scope["path"], target.model, target.version, key, request_id)
        answer = await self._service.handle(call, body, target.codec, prediction_id)
        if answer.status == GONE:
            return
        await respond(send, answer, request_id)


def head(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes | None, str, int]:
    """The API key, an acceptable request id and the announced length (0 when unknown) of a request."""
    key, plain_key, request_id, length = None, None, "", 0
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                key = value[7:].strip()
        elif name == KEY_HEADER:
            plain_key = value.strip()
        elif name == b"x-request-id":
            request_id = accepted_request_id(value)
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    return key or plain_key, request_id, length


async def read_body(receive: Receive, limit: int, length: int) -> bytes:
    """The whole body; Problem 413 when it is over the limit.

    A body that is too large is read on for a while and dropped: a connection that is closed with unread data is reset,
    and the client would miss the answer.
    """
    parts, size, more = [], 0, True
    while more and size <= limit * DISCARD_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        more = message.get("more_body", False)
        if size <= limit:
            parts.append(part)
    if max(size, length) > limit:
        raise problems.too_large(limit)
    return b"".join(parts)


def headers_of(answer: Answer, request_id: str) -> list[tuple[bytes, bytes]]:
    """The headers of a whole response."""
    return [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
        *answer.headers,
    ]


async def respond(send: Send, answer: Answer, request_id: str) -> None:
    """Send a whole response."""
    headers = headers_of(answer, request_id)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
