"""Every error a client can meet, from the running service."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from conftest import Peer
from process import KEY, Api, until

ROW = [0.0] * 64


def problem(answer: httpx.Response, status: int, kind: str) -> dict:
    """The problem document, checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"].rpartition(":")[2] == kind and document["status"] == status
    return document


def test_without_a_key_only_health_and_metrics_answer(api: Api) -> None:
    api.start().ready()
    for path in ("/v2", "/v2/health/ready", "/v2/models", "/v2/models/digits", "/v2/models/digits/ready"):
        problem(api.client.get(path, headers={"authorization": ""}), 401, "unauthorized")
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert api.client.get(path, headers={"authorization": ""}).status_code == 200


def test_a_wrong_shape_is_told_the_right_one(api: Api) -> None:
    api.start().ready()
    document = problem(api.predict([[1.0, 2.0]]), 400, "invalid-request")
    assert document["expected"]["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}]
    assert "[1, 2]" in document["detail"] and "[-1, 64]" in document["detail"]


def test_paths_and_methods_that_are_not_there(api: Api) -> None:
    api.start()
    problem(api.client.get("/nothing"), 404, "not-found")
    problem(api.client.post("/v1/predict/a/b"), 404, "not-found")
    problem(api.client.get("/v1/predict/digits"), 405, "method-not-allowed")


@pytest.mark.parametrize("parts", [[b"x" * 500_000], [b"x" * 1000, b"x"], [b"x" * 5_000] * 9])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit(api: Api, announced: bool, parts: list[bytes]) -> None:
    api.start(body_limit_bytes=1000).ready()
    content = b"".join(parts) if announced else iter(parts)
    document = problem(api.client.post("/v1/predict/digits", content=content), 413, "body-too-large")
    assert document["limit_bytes"] == 1000


def test_an_answer_over_the_limit(api: Api) -> None:
    api.start(answer_limit_bytes=1000).ready()
    assert api.predict([ROW]).status_code == 200
    assert problem(api.predict([ROW] * 32), 400, "answer-too-large")["limit_bytes"] == 1000
    until(lambda: api.metric("inference_api_records_written_total") == 1)


def test_the_limit_of_requests_in_flight(api: Api, triton: Peer) -> None:
    api.start(in_flight_limit=4).ready()
    triton.service.delay = 1.0
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: api.predict(ROW), range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 4 + [429] * 4
    refused = next(answer for answer in answers if answer.status_code == 429)
    problem(refused, 429, "too-many-requests")
    assert int(refused.headers["retry-after"]) >= 1
    assert api.predict(ROW).status_code == 200


def test_the_time_limit_of_a_slow_model(api: Api, triton: Peer) -> None:
    api.start(time_limit_seconds=0.5).ready()
    triton.service.delay = 1.5
    problem(api.predict(ROW), 504, "time-limit")
    triton.service.delay = 0
    until(lambda: api.predict(ROW).status_code == 200, 5)


def test_a_request_whose_time_is_over_before_its_turn_is_not_sent_on(api: Api, triton: Peer) -> None:
    api.start(time_limit_seconds=0.5, triton_calls_limit=1).ready()
    triton.service.delay = 1.5
    pixels = [[1.0] * 4] * 4  # a model that does not batch: one call each
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: api.predict(pixels, "image"), range(6)))
    for answer in answers:
        problem(answer, 504, "time-limit")
    assert api.metric("inference_api_engine_merged_total") <= 2
    assert api.metric('inference_api_requests_total{model="image",code="504"}') == 6


def test_the_time_limit_of_a_slow_client(api: Api) -> None:
    api.start(time_limit_seconds=0.5).ready()
    context = ssl.create_default_context(cafile=api.environment["INFERENCE_API_DATABASE_CA_FILE"])
    with (
        socket.create_connection(("127.0.0.1", api.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        head = (
            f"POST /v1/predict/digits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 9\r\n\r\n"
        )
        connection.sendall(head.encode() + b"{")
        assert connection.recv(100).startswith(b"HTTP/1.1 504")


def test_a_request_id_that_is_not_harmless_is_replaced(api: Api) -> None:
    api.start().ready()
    answer = api.client.post("/v1/predict/digits", json={"inputs": ROW}, headers={"x-request-id": "a b; DROP TABLE"})
    assert answer.headers["x-request-id"] == answer.json()["id"]


def test_the_listener_speaks_tls_only(api: Api) -> None:
    api.start()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{api.port}/healthz")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://localhost:{api.port}/healthz")
