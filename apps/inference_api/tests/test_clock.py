"""A machine whose clock is off, so that the storage refuses what it signs, says that it is the clock."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from storage import Storage

from bucket import Bucket
from process import Api, until
from test_errors import problem
from test_recovery import ROW, predicted

SIGNED_AT = "%Y%m%dT%H%M%SZ"
SAID = r"{what}: .*RequestTimeTooSkewed: this machine's clock says 20\d\d-\d\d-\d\d \d\d:\d\d UTC: set it right"


class LateWay(ThreadingHTTPServer):
    """A way to the storage that says of each request that it was signed `minutes` ago."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.minutes = 0
        trusted = ssl.create_default_context(cafile=storage.ca)
        self.onwards = httpx.Client(base_url=storage.endpoint, verify=trusted)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class Passing(BaseHTTPRequestHandler):
    server: LateWay

    def do_GET(self) -> None:
        headers = dict(self.headers)
        body = self.rfile.read(int(headers.get("content-length", 0)))
        signed = datetime.strptime(headers["x-amz-date"], SIGNED_AT).replace(tzinfo=UTC)
        headers["x-amz-date"] = (signed - timedelta(minutes=self.server.minutes)).strftime(SIGNED_AT)
        answer = self.server.onwards.request(self.command, self.path, headers=headers, content=body)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    do_PUT = do_GET


@pytest.fixture
def way(storage: Storage) -> Iterator[LateWay]:
    made = LateWay(storage)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("durable", [False, True])
def test_a_clock_that_is_off_is_named_until_it_is_right(
    alone: Api, published: Bucket, way: LateWay, durable: bool
) -> None:
    """Predictions wait in the spool meanwhile, or are not given out, where records are durable."""
    alone.start(storage_endpoint=way.endpoint, records_durable=durable).ready()
    ids = predicted(alone, 3)
    until(lambda: published.ids() == sorted(ids))
    way.minutes = 20
    if durable:
        for _ in range(2):
            refused = problem(alone.predict(ROW), 503, "unavailable")
            assert refused["waiting_for"] == ["object-storage"] and "send the request again" in refused["detail"]
    else:
        ids |= predicted(alone, 2)
    degraded = {"status": "degraded", "waiting_for": ["object-storage", "clock"]}
    until(lambda: alone.client.get("/readyz").json() == degraded)
    until(lambda: alone.metric("inference_api_clock_refused") == 1)
    for what in ("models", "predictions"):
        until(lambda what=what: re.search(SAID.format(what=what), alone.log.read_text()))
    way.minutes = 0
    if durable:
        ids.add(until(lambda: (answer := alone.predict(ROW)).status_code == 200 and answer).json()["id"])
    until(lambda: published.ids() == sorted(ids))
    until(lambda: alone.client.get("/readyz").json()["status"] == "ready")
    until(lambda: alone.metric("inference_api_clock_refused") == 0)


def test_a_clock_that_is_off_at_the_start_is_named(alone: Api, published: Bucket, way: LateWay) -> None:
    way.minutes = 20
    alone.start(storage_endpoint=way.endpoint)
    until(lambda: "clock" in alone.client.get("/readyz").json()["waiting_for"])
    assert alone.client.get("/readyz").status_code == 503
    way.minutes = 0
    alone.ready()
