"""What a connection owes its client besides the answer: order, its end, and nothing kept of those who leave."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from conftest import Peer
from process import KEY, Api, until
from triton_peer import POISON, digits

ROWS = np.random.default_rng(9).integers(0, 17, size=(6, 64)).astype(np.float32)


def request(row: list[float], *lines: str) -> bytes:
    """A whole request as it travels."""
    body = json.dumps({"inputs": row})
    head = ["POST /v1/predict/digits HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode()


@contextmanager
def connected(api: Api) -> Iterator[ssl.SSLSocket]:
    """A bare connection to the service."""
    with (
        socket.create_connection(("127.0.0.1", api.port), timeout=20) as plain,
        api.context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield connection


def answer(stream: socket.SocketIO) -> tuple[int, dict[str, str], dict]:
    """Status, headers and document of the next answer."""
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    return status, headers, json.loads(stream.read(int(headers["content-length"])))


def test_requests_sent_together_are_answered_in_their_order(api: Api) -> None:
    api.start().ready()
    with connected(api) as connection:
        connection.sendall(b"".join(request(row.tolist()) for row in ROWS))
        stream = connection.makefile("rb")
        answers = [answer(stream) for _ in ROWS]
    assert [status for status, _, _ in answers] == [200] * len(ROWS)
    labels = [document["outputs"]["label"][0] for _, _, document in answers]
    assert labels == digits("2", ROWS)["label"].tolist()


def test_a_head_that_comes_before_its_body(api: Api) -> None:
    api.start().ready()
    whole = request(ROWS[0].tolist())
    with connected(api) as connection:
        stream = connection.makefile("rb")
        for part in (whole[:40], whole[40:200], whole[200:]):
            connection.sendall(part)
        assert answer(stream)[0] == 200
        connection.sendall(whole)
        assert answer(stream)[0] == 200


def test_a_client_that_says_it_closes_is_closed(api: Api) -> None:
    api.start().ready()
    with connected(api) as connection:
        connection.sendall(request(ROWS[0].tolist(), "Connection: close"))
        stream = connection.makefile("rb")
        status, headers, _ = answer(stream)
        assert (status, headers["connection"]) == (200, "close")
        assert stream.read() == b""


def test_what_the_model_refuses_leaves_the_connection_open(api: Api) -> None:
    api.start().ready()
    with connected(api) as connection:
        stream = connection.makefile("rb")
        connection.sendall(request([POISON, *ROWS[0].tolist()[1:]]))
        status, headers, document = answer(stream)
        assert (status, document["status"], headers["content-type"]) == (502, 502, "application/problem+json")
        connection.sendall(request(ROWS[0].tolist()))
        assert answer(stream)[0] == 200


def test_nothing_is_kept_of_a_client_that_hangs_up(api: Api, triton: Peer) -> None:
    api.start(in_flight_limit=2).ready()
    triton.service.delay = 0.5
    for _ in range(2):
        with connected(api) as connection:
            connection.sendall(request(ROWS[0].tolist()))
            until(lambda: api.metric("inference_api_in_flight") >= 1)
    triton.service.delay = 0
    until(lambda: api.metric("inference_api_in_flight") == 0)
    assert [api.predict(row.tolist()).status_code for row in ROWS] == [200] * len(ROWS)
