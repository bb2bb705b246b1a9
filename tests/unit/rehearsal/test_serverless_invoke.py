"""What passes between a caller and a container, and what an API gateway answers by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from rehearsal.cloud.errors import ApiError, Code
from rehearsal.serverless import invoke
from rehearsal.serverless.gateway import Gateways
from rehearsal.serverless.invoke import Refused
from rehearsal.serverless.served import Gateway, Route, Served


def request(path: str = "/", *, method: str = "GET", parts: tuple[bytes, ...] = (), **headers: str) -> Request:
    """A request as the server hands it over."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": named, "query_string": b""}
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return Request({**scope, "client": ("192.0.2.1", 5), "server": ("gateway", 443), "scheme": "https"}, receive)


class Tokens:
    def principal(self, method: str, metadata: dict[str, str]) -> str:
        if metadata["authorization"] != "Bearer t1.good":
            raise ApiError(Code.UNAUTHENTICATED, "The token is invalid")
        return "aje"


def test_callers_are_known_by_their_iam_token():
    assert invoke.caller(Tokens(), request()) == ""
    assert invoke.caller(Tokens(), request(authorization="Bearer t1.good")) == "aje"
    assert invoke.caller(Tokens(), request(authorization="Basic eDp5")) == ""
    with pytest.raises(Refused, match="The token is invalid"):
        invoke.caller(Tokens(), request(authorization="Bearer t1.bad"))


def test_headers_that_are_for_the_cloud_do_not_reach_a_container():
    given = request(host="h", authorization="Bearer x", cookie="a=b", te="trailers", x_api_key="k", x_request_id="mine")
    passed = dict(invoke.headers_in(given, "ident", [(b"more", b"1")]))
    assert passed == {
        **{b"host": b"h", b"x-api-key": b"k", b"more": b"1"},
        **{b"x-request-id": b"ident", b"x-forwarded-for": b"192.0.2.1"},
    }


def test_a_container_s_headers_are_filtered_and_renamed():
    given = [(b"Server", b"app"), (b"User-Agent", b"x"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")]
    kept = invoke.headers_out(given)
    assert kept == [(b"x-yf-remapped-server", b"app"), (b"set-cookie", b"a"), (b"set-cookie", b"b")]
    with pytest.raises(Refused, match="has the header Transfer-Encoding, which is not allowed"):
        invoke.headers_out([(b"Transfer-Encoding", b"chunked")])


def test_a_body_is_read_up_to_the_limit():
    half = b"x" * (invoke.BIGGEST // 2)
    assert len(asyncio.run(invoke.body_of(request(parts=(half, half))))) == 2 * len(half)
    with pytest.raises(Refused) as refused:
        asyncio.run(invoke.body_of(request(parts=(half, half), x_more="x")))
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("accept", "said", "kind"),
    [
        ("text/html", "<p>7</p>", "text/html"),
        ("application/json;q=0.9, text/html", '{"id": "7"}', "application/json"),
        ("image/png", "id 7", None),
    ],
)
def test_a_static_answer_is_of_the_type_that_the_caller_accepts(tmp_path, accept, said, kind):
    content = {"*": "id {id}", "text/html": "<p>{id}</p>", "application/json": '{"id": "{id}"}'}
    integration = {"type": "dummy", "http_code": 203, "http_headers": {"X-Id": "{id}"}, "content": content}
    gateway = Gateway("d5d", ("gateway",), (Route("/things/{id}", "get", integration),))
    gateways = Gateways(Served, lambda account: ("", 0), None, tmp_path)
    answer = asyncio.run(gateways(gateway, request("/things/7", accept=accept)))
    assert (answer.status_code, answer.body.decode(), answer.headers["x-id"]) == (203, said, "7")
    assert answer.headers.get("content-type", "").partition(";")[0] == (kind or "")
    for path, method, status in (("/other", "GET", 404), ("/things/7", "POST", 405)):
        with pytest.raises(Refused) as refused:
            asyncio.run(gateways(gateway, request(path, method=method)))
        assert refused.value.status == status
