"""Every error a client can see, as RFC 9457 problem details."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

MEDIA_TYPE = b"application/problem+json"


class Answer(NamedTuple):
    """A whole HTTP response."""

    status: int
    body: bytes
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Problem(Exception):
    """An error with a place in the contract: `kind` is the last part of its type URI."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: tuple[tuple[bytes, bytes], ...] = (), **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers, self.extra = status, kind, detail, headers, extra

    def answer(self, request_id: str | None, path: str) -> Answer:
        """The problem as a response. Open Inference Protocol clients look for `error`, so those paths carry it too."""
        document: dict[str, Any] = {
            "type": f"urn:inference-api:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
        }
        if request_id:
            document["request_id"] = request_id
        if path.startswith("/v2"):
            document["error"] = self.detail
        document.update(self.extra)
        return Answer(self.status, orjson.dumps(document), MEDIA_TYPE, self.headers)


def _retry(seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", str(seconds).encode()),)


def unauthorized() -> Problem:
    """The same words for a missing, wrong, expired and disabled key: nothing to learn by trying."""
    return Problem(
        401,
        "unauthorized",
        "A valid API key is needed: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
        headers=((b"www-authenticate", b'Bearer realm="inference-api"'),),
    )


def unknown_model(model: str, version: str) -> Problem:
    """No such model, or no such version of it, is ready in Triton."""
    what = f"version {version} of model {model}" if version else f"model {model}"
    return Problem(404, "unknown-model", f"There is no {what}.")


def too_large(limit: int) -> Problem:
    """The body is over the limit; the connection is closed because the rest of the body was not read."""
    return Problem(
        413,
        "body-too-large",
        f"The body may have at most {limit} bytes.",
        limit_bytes=limit,
        headers=((b"connection", b"close"),),
    )


def answer_too_large(size: int, limit: int) -> Problem:
    """What was asked for would be over the limit."""
    detail = f"The answer has {size} bytes, at most {limit} are sent: ask for fewer rows at a time."
    return Problem(400, "answer-too-large", detail, limit_bytes=limit)


def invalid(detail: str, expected: Any = None) -> Problem:
    """The body does not say what the model needs; `expected` describes its inputs."""
    extra = {"expected": expected} if expected is not None else {}
    return Problem(400, "invalid-request", detail, **extra)


def busy(limit: int) -> Problem:
    """Too many requests are under way."""
    return Problem(429, "too-many-requests", f"{limit} requests are already in flight.", headers=_retry(1))


def waiting(detail: str, *names: str) -> Problem:
    """Something behind the service is away; `waiting_for` names it."""
    return Problem(503, "unavailable", detail, headers=_retry(2), waiting_for=list(names))


def unrecorded(store: str) -> Problem:
    """A prediction that its store has not taken, where none is given out without a record."""
    return waiting("The prediction could not be recorded, so it is not given out: send the request again.", store)


def unrecordable(store: str) -> Problem:
    """A prediction that its store will never take."""
    detail = f"The prediction is not given out, because its record is refused: by {store}, and it would be again."
    return Problem(500, "record-refused", f"{detail} The log has the reason under this request's id.")


def timed_out(limit: float) -> Problem:
    """The time limit passed before there was an answer."""
    return Problem(504, "time-limit", f"There was no answer within {limit:g} seconds.")


def model_failed(detail: str) -> Problem:
    """Triton answered with an error that is neither the client's nor a matter of time."""
    return Problem(502, "model-failed", f"The model server refused: {detail}")


def internal() -> Problem:
    """A fault of ours; the log has the rest under the request's id."""
    return Problem(500, "internal-error", "An unexpected error was logged under this request's id.")
