"""One request to a container: who may, limits, headers, time, and what an end of its instance means."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rehearsal.cloud.errors import ApiError
from rehearsal.serverless.instances import PORT, Instance
from rehearsal.serverless.pool import Overloaded, Pool
from rehearsal.world import WorldError

if TYPE_CHECKING:
    from rehearsal.cloud.identity import Identity
    from rehearsal.serverless.served import Container, Revision

log = logging.getLogger(__name__)
BIGGEST = 3_670_016  # bytes, 3.5 MB: headers and body of a request, and of a response
REASON_SECONDS = 3  # for finding out whether an instance that dropped a request has ended
Headers = list[tuple[bytes, bytes]]
# https://yandex.cloud/en/docs/serverless-containers/concepts/invoke#filter
NOT_PASSED_IN = frozenset(
    b"expect te trailer upgrade proxy-authenticate authorization connection content-md5 max-forwards server"
    b" transfer-encoding www-authenticate cookie".split()
)
NOT_PASSED_OUT = frozenset(
    b"host authorization user-agent connection max-forwards cookie x-request-id x-function-id x-function-version-id"
    b" x-content-type-options".split()
)
FORBIDDEN_OUT = frozenset(b"proxy-authenticate transfer-encoding via".split())
RENAMED_OUT = frozenset(b"content-md5 date server www-authenticate".split())


class Refused(Exception):
    """An answer of the cloud's own. `kind` is whose fault it is."""

    def __init__(self, status: int, message: str, kind: str = "ClientError") -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind

    def response(self) -> Response:
        body = {"errorCode": self.status, "errorMessage": self.message, "errorType": self.kind}
        return JSONResponse(body, self.status)


def ours(status: int, message: str) -> Refused:
    """What the container, or its limits, are to blame for."""
    return Refused(status, message, "ProxyIntegrationError")


def caller(identity: Identity, request: Request) -> str:
    """Who calls, by an IAM token; '' for who shows none. Raises Refused for a token that is not valid."""
    given = request.headers.get("authorization", "")
    if not given.lower().startswith("bearer t1."):  # another kind is the application's own business
        return ""
    try:
        return identity.principal("", {"authorization": given})
    except ApiError as error:
        raise Refused(401, error.message) from None


async def body_of(request: Request) -> bytes:
    """The whole body. Raises Refused where the request is too large."""
    size, parts = sum(len(name) + len(value) for name, value in request.headers.raw), []
    async for part in request.stream():
        size += len(part)
        if size > BIGGEST:
            raise Refused(413, f"The request is larger than {BIGGEST} bytes")
        parts.append(part)
    return b"".join(parts)


def headers_in(request: Request, ident: str, more: Headers) -> Headers:
    """What a container gets of a request's headers."""
    named = [(name.lower(), value) for name, value in request.headers.raw]
    came_by = [value for name, value in named if name == b"x-forwarded-for"]
    here = (request.client.host if request.client else "").encode()
    kept = [(n, v) for n, v in named if n not in NOT_PASSED_IN and n not in (b"x-forwarded-for", b"x-request-id")]
    kept = [(n, v) for n, v in kept if n != b"content-length"]  # httpx writes its own
    return [*kept, (b"x-forwarded-for", b", ".join([*came_by, here])), (b"x-request-id", ident.encode()), *more]


def headers_out(given: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What a caller gets of a response's headers. Raises Refused where one is there that must not be."""
    kept = []
    for name, value in given:
        low = name.lower()
        if low in FORBIDDEN_OUT:
            raise ours(502, f"The container's response has the header {name.decode('latin-1')}, which is not allowed")
        if low not in NOT_PASSED_OUT and low != b"content-length":
            kept.append((b"x-yf-remapped-" + low if low in RENAMED_OUT else low, value))
    return kept


class Invoker:
    """Sends requests to the instances of live revisions. `pool_of` has the pool of a revision."""

    def __init__(self, pool_of: Callable[[Revision], Pool]) -> None:
        self._pool_of = pool_of
        self._active: dict[str, int] = {}  # container: requests that it has now
        # No connection is kept: an instance may go between two requests.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(limits=limits)

    async def __call__(
        self, container: Container, principal: str, request: Request, *, timeout: float = 0, more: Headers | None = None
    ) -> Response:
        """The container's answer, or the cloud's own for it; `timeout` is another limit, in seconds, than the revision's.

        Raises Refused where there is none."""
        revision = container.revision
        if not container.admits(principal):
            raise Refused(403, "Forbidden: the caller lacks the role serverless-containers.containerInvoker")
        if revision is None:
            raise Refused(404, "The container has no active revision")
        active = self._active.get(container.id, 0)
        if revision.requests and active >= revision.requests:
            raise Refused(429, f"Too many requests: the container's limit is {revision.requests} at once")
        ident = str(uuid.uuid4())
        seconds = min(filter(None, (revision.timeout, timeout)))
        self._active[container.id] = active + 1
        try:
            async with asyncio.timeout(seconds):
                body = await body_of(request)
                made = await self._send(revision, request, body, headers_in(request, ident, more or []))
        except TimeoutError:
            # https://yandex.cloud/en/docs/serverless-containers/concepts/invoke: not done within the timeout is a 504 error
            made = ours(504, f"The container did not answer within {seconds:g} s").response()
        except Refused as refused:
            made = refused.response()
        finally:
            self._active[container.id] -= 1
        made.headers["x-request-id"] = ident
        return made

    async def _send(self, revision: Revision, request: Request, body: bytes, headers: Headers) -> Response:
        pool = self._pool_of(revision)
        while True:
            try:
                seat = await pool.take()
            except Overloaded:
                raise Refused(429, "Too many requests: all instances are busy") from None
            except WorldError as error:
                raise ours(502, str(error)) from None
            broken = True
            try:
                answer = await self._ask(seat.instance, request, body, headers)
                broken = False
                return answer
            except httpx.ConnectError:
                log.info("%s is gone: another instance takes the request", seat.instance.id)
            except httpx.HTTPError as error:
                why = await pool.why_ended(seat.instance, REASON_SECONDS) or f"it dropped the request ({error!r})"
                raise ours(502, f"The container's instance failed: {why}") from None
            except Refused:
                broken = False  # the instance works; what it says may not leave
                raise
            finally:
                pool.give(seat, broken=broken)

    async def _ask(self, instance: Instance, request: Request, body: bytes, headers: Headers) -> Response:
        target = request.scope["raw_path"] + (b"?" + request.scope["query_string"] if request.url.query else b"")
        url = httpx.URL(f"http://{instance.address}:{PORT}", raw_path=target)
        sent = httpx.Request(request.method, url, headers=headers, content=body)
        answer = await self._transport.handle_async_request(sent)
        try:
            kept = headers_out(answer.headers.raw)
            size, parts = sum(len(name) + len(value) for name, value in kept), []
            async for part in answer.stream:
                size += len(part)
                if size > BIGGEST:
                    raise ours(502, f"The container's response is larger than {BIGGEST} bytes")
                parts.append(part)
        finally:
            await answer.aclose()
        return raw_response(answer.status_code, kept, b"".join(parts), request.method, answer.headers)


def raw_response(status: int, headers: Headers, body: bytes, method: str, given: httpx.Headers) -> Response:
    """A response with these headers as they are."""
    made = Response(body, status)
    # To HEAD, and where nothing changed, the length is that of a body which is not sent.
    length = given.get("content-length") if method == "HEAD" or status == 304 else str(len(body))
    sized = status >= 200 and status != 204 and length is not None
    made.raw_headers = [*headers, *([(b"content-length", str(length).encode())] if sized else [])]
    return made
