"""Every way to a prediction keeps the same contract: FastAPI's own, the quick door in front of it, and the connection's."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn

from inference_api.app import create_app
from inference_api.connection import Connection
from inference_api.front import Front
from inference_api.service import Service
from inference_api.settings import Settings, load
from process import KEY, free_port

ROW = [float(number % 17) for number in range(64)]
TENSOR = {"name": "image", "shape": [1, 64], "datatype": "FP32", "data": ROW}
V1, V2 = "/v1/predict/digits", "/v2/models/digits/infer"
LIMIT = 20_000


def infer(**changes: Any) -> dict[str, Any]:
    """An inference request whose tensor was changed."""
    return {"inputs": [{**TENSOR, **changes}]}


# name: path, body (JSON, or bytes as they are), the status that both must give, and the problem's kind
CASES: dict[str, tuple[str, Any, int, str]] = {
    "rows": (V1, {"inputs": [ROW, ROW]}, 200, ""),
    "one row": (V1, {"inputs": ROW}, 200, ""),
    "whole numbers": (V1, {"inputs": [[1] * 64]}, 200, ""),
    "version": (V1, {"inputs": ROW, "version": "1"}, 200, ""),
    "version as a number": (V1, {"inputs": ROW, "version": 1}, 200, ""),
    "strings": ("/v1/predict/words", {"inputs": [["a"], ["ß"]]}, 200, ""),
    "a number a row": ("/v1/predict/double", {"inputs": [[1], [2]]}, 200, ""),
    "numbers without their dimension": ("/v1/predict/double", {"inputs": [1, 2]}, 400, "invalid-request"),
    "not batched": ("/v1/predict/image", {"inputs": [[1, 2, 3, 4]] * 4}, 200, ""),
    "unknown version": (V1, {"inputs": ROW, "version": "9"}, 404, "unknown-model"),
    "unknown model": ("/v1/predict/nothing", {"inputs": ROW}, 404, "unknown-model"),
    "two inputs": ("/v1/predict/pair", {"inputs": [[1, 2]]}, 400, "invalid-request"),
    "not JSON": (V1, b"{", 400, "invalid-request"),
    "empty": (V1, b"", 400, "invalid-request"),
    "not UTF-8": (V1, b'{"inputs": ["\xff"]}', 400, "invalid-request"),
    "deep": (V1, b'{"inputs":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "invalid-request"),
    "a list": (V1, [ROW], 400, "invalid-request"),
    "no inputs": (V1, {}, 400, "invalid-request"),
    "unknown field": (V1, {"inputs": ROW, "verison": "1"}, 400, "invalid-request"),
    "short row": (V1, {"inputs": ROW[:63]}, 400, "invalid-request"),
    "ragged": (V1, {"inputs": [ROW, ROW[:5]]}, 400, "invalid-request"),
    "no rows": (V1, {"inputs": []}, 400, "invalid-request"),
    "too deep": (V1, {"inputs": [[ROW]]}, 400, "invalid-request"),
    "strings for numbers": (V1, {"inputs": [["1"] * 64]}, 400, "invalid-request"),
    "nulls": (V1, {"inputs": [[None] * 64]}, 400, "invalid-request"),
    "booleans": (V1, {"inputs": [[True] * 64]}, 400, "invalid-request"),
    "a number too large": (V1, {"inputs": [[1e39, *ROW[1:]]]}, 400, "invalid-request"),
    "too many rows": (V1, {"inputs": [ROW] * 33}, 400, "invalid-request"),
    "too large": (V1, {"inputs": [ROW] * 200}, 413, "body-too-large"),
    "infer": (V2, infer(), 200, ""),
    "infer nested": (V2, infer(data=[ROW]), 200, ""),
    "infer a version": ("/v2/models/digits/versions/1/infer", infer(), 200, ""),
    "infer with id and output": (V2, {**infer(), "id": "7", "outputs": [{"name": "label"}]}, 200, ""),
    "infer without binary": (V2, {**infer(), "parameters": {"binary_data_output": False}}, 200, ""),
    "infer binary": (V2, infer(parameters={"binary_data_size": 256}), 400, "invalid-request"),
    "infer wrong datatype": (V2, infer(datatype="FP64"), 400, "invalid-request"),
    "infer wrong shape": (V2, infer(shape=[1, 63]), 400, "invalid-request"),
    "infer negative shape": (V2, infer(shape=[-1, 64]), 400, "invalid-request"),
    "infer shape and data disagree": (V2, infer(shape=[2, 64]), 400, "invalid-request"),
    "infer unknown input": (V2, infer(name="picture"), 400, "invalid-request"),
    "infer no input": (V2, {"inputs": []}, 400, "invalid-request"),
    "infer unknown output": (V2, {**infer(), "outputs": [{"name": "x"}]}, 400, "invalid-request"),
    "infer unknown version": ("/v2/models/digits/versions/9/infer", infer(), 404, "unknown-model"),
    "infer too large": (V2, infer(data=[ROW] * 200), 413, "body-too-large"),
    "infer integers": (
        "/v2/models/pair/infer",
        {"inputs": [{"name": n, "shape": [1, 2], "datatype": "INT64", "data": [1, 2]} for n in ("left", "right")]},
        200,
        "",
    ),
    "infer fractions for integers": (
        "/v2/models/pair/infer",
        {"inputs": [{"name": n, "shape": [1, 2], "datatype": "INT64", "data": [1.5, 2]} for n in ("left", "right")]},
        400,
        "invalid-request",
    ),
    "infer other rows": (
        "/v2/models/pair/infer",
        {
            "inputs": [
                {"name": "left", "shape": [1, 2], "datatype": "INT64", "data": [1, 2]},
                {"name": "right", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]},
            ]
        },
        400,
        "invalid-request",
    ),
}
KEYS = {"no key": {}, "wrong key": {"authorization": f"Bearer {KEY}x"}, "no bearer": {"authorization": f"Basic {KEY}"}}


class Answers(NamedTuple):
    """What one request was answered on each way, and whether the connection took it on its own."""

    routed: httpx.Response
    quick: httpx.Response
    short: httpx.Response
    begun: bool


async def _ask(client: httpx.AsyncClient, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    return await client.post(path, headers={"x-request-id": "test-1", **headers}, **content)


def contract(answer: httpx.Response) -> dict[str, Any]:
    """What a client may rely on: everything but ids and the words of a complaint."""
    document = answer.json()
    for field in ("detail", "error"):
        if field in document and answer.status_code == 400:
            assert document[field]
            del document[field]
    if document.get("id") != "7":
        document.pop("id", None)
    headers = {name: value for name, value in answer.headers.items() if name not in ("content-length", "date")}
    return {"status": answer.status_code, "headers": headers, "document": document}


async def answers(settings: Settings, cases: dict[str, tuple[str, Any, dict[str, str]]]) -> dict[str, Answers]:
    """The answers to each (path, body, headers)."""
    service = Service(settings)
    app = create_app(service)
    front = Front(app, service)
    begun: list[bool] = []
    begin = service.begin

    def noted(*arguments: Any) -> bool:
        begun.append(begin(*arguments))
        return begun[-1]

    service.begin = noted
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(front, port=port, http=Connection, ws="none", log_config=None, server_header=False)
    )
    serving = asyncio.create_task(server.serve())
    while not service.state()[0]:
        await asyncio.sleep(0.02)
    found = {}
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as routed,
        httpx.AsyncClient(transport=httpx.ASGITransport(app=front), base_url="http://test") as quick,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as short,
    ):
        for name, case in cases.items():
            begun.clear()
            found[name] = Answers(
                await _ask(routed, *case), await _ask(quick, *case), await _ask(short, *case), any(begun)
            )
    server.should_exit = True
    await serving
    return found


@pytest.fixture
def settings(migrated: dict[str, str]) -> Settings:
    return load({**migrated, "INFERENCE_API_BODY_LIMIT_BYTES": str(LIMIT)})


def test_all_ways_agree(settings: Settings) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    found = asyncio.run(answers(settings, {name: (case[0], case[1], headers) for name, case in CASES.items()}))
    for name, (routed, quick, short, begun) in found.items():
        path, _, status, kind = CASES[name]
        assert contract(quick) == contract(routed) == contract(short), name
        assert quick.status_code == status, (name, quick.text)
        assert begun == (status == 200), name
        assert quick.headers["x-request-id"] == "test-1"
        if kind:
            document = quick.json()
            assert quick.headers["content-type"] == "application/problem+json"
            assert document["type"] == f"urn:inference-api:problem:{kind}", name
            assert (document["status"], document["instance"], document["request_id"]) == (status, path, "test-1")


def test_all_ways_are_closed_without_a_key(settings: Settings) -> None:
    found = asyncio.run(answers(settings, {name: (V1, {"inputs": ROW}, headers) for name, headers in KEYS.items()}))
    for name, (routed, quick, short, begun) in found.items():
        assert contract(quick) == contract(routed) == contract(short), name
        assert not begun
        assert quick.status_code == 401 and quick.headers["www-authenticate"].startswith("Bearer")


def test_a_key_may_come_where_nothing_in_front_takes_it_away(settings: Settings) -> None:
    cases = {
        "own header": ({"x-api-key": KEY}, 200),
        "beside another kind": ({"x-api-key": KEY, "authorization": "Basic eDp5"}, 200),
        "wrong": ({"x-api-key": f"{KEY}x"}, 401),
        "bearer counts": ({"x-api-key": KEY, "authorization": f"Bearer {KEY}x"}, 401),
    }
    found = asyncio.run(
        answers(settings, {name: (V1, {"inputs": ROW}, headers) for name, (headers, _) in cases.items()})
    )
    for name, (routed, quick, short, begun) in found.items():
        assert contract(quick) == contract(routed) == contract(short), name
        assert quick.status_code == cases[name][1], name
        assert begun == (quick.status_code == 200), name
