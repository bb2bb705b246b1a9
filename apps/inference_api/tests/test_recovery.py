"""Triton or PostgreSQL goes away and comes back; the service is stopped; nothing that should stay is lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from conftest import Peer
from inference_api.spool import FILE_NAME
from postgres import Postgres
from process import Api, until
from test_errors import problem

ROW = [1.0] * 64


def recorded(postgres: Postgres, database: str) -> set[str]:
    """The ids on record."""
    return {row[0] for row in postgres.query("SELECT id::text FROM inference_api.predictions", database=database)}


@contextmanager
def asked_until_it_is_gone(api: Api) -> Iterator[tuple[set[str], set[int]]]:
    """Four clients ask until nobody answers, which the block has to bring about; the ids and statuses that they get."""
    ids: set[str] = set()
    codes: set[int] = set()
    lock = threading.Lock()

    def ask() -> None:
        with httpx.Client(verify=api.context, base_url=api.client.base_url, headers=api.client.headers) as client:
            while True:
                try:
                    answer = client.post("/v1/predict/digits", json={"inputs": ROW})
                except httpx.TransportError:
                    return
                with lock:
                    codes.add(answer.status_code)
                    ids.add(answer.json()["id"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield ids, codes
    for thread in threads:
        thread.join()


def predicted(api: Api, count: int) -> set[str]:
    """The ids of that many new predictions."""
    answers = [api.predict(ROW) for _ in range(count)]
    assert {answer.status_code for answer in answers} == {200}
    return {answer.json()["id"] for answer in answers}


def test_postgresql_goes_away_and_comes_back(api: Api, postgres: Postgres, database: str) -> None:
    api.start().ready()
    ids = predicted(api, 5)
    until(lambda: recorded(postgres, database) == ids)
    postgres.stop()
    ids |= predicted(api, 20)
    until(lambda: api.metric("inference_api_records_spooled_total") == 20)
    state = api.client.get("/readyz")
    assert state.status_code == 200 and state.json() == {"status": "degraded", "waiting_for": ["postgresql"]}
    assert api.metric("inference_api_spool_bytes") > 0
    postgres.start()
    until(lambda: recorded(postgres, database) == ids)
    until(lambda: api.client.get("/readyz").json()["status"] == "ready")
    until(lambda: api.metric("inference_api_spool_bytes") == 0)
    assert api.metric("inference_api_records_lost_total") == 0


def test_postgresql_that_hangs_holds_nobody_up(api: Api, postgres: Postgres, database: str) -> None:
    api.start(database_timeout_seconds=1).ready()
    ids = predicted(api, 1)
    until(lambda: recorded(postgres, database) == ids)
    processes = [
        int(pid)
        for (pid,) in postgres.query(
            f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'inference-api'"
        )
    ]
    postmaster = int((postgres.folder / "postmaster.pid").read_text().split()[0])
    try:
        for process in (postmaster, *processes):
            os.kill(process, signal.SIGSTOP)
        ids |= predicted(api, 5)
        until(lambda: api.metric("inference_api_records_spooled_total") == 5)
        assert api.answers("/healthz")
    finally:
        for process in (*processes, postmaster):
            os.kill(process, signal.SIGCONT)
    until(lambda: recorded(postgres, database) == ids)


def test_without_postgresql_at_the_start_nobody_is_let_in_until_it_is_there(
    api: Api, postgres: Postgres, database: str
) -> None:
    postgres.stop()
    api.start()
    until(lambda: api.client.get("/readyz").json().get("waiting_for") == ["postgresql"])
    answer = api.predict(ROW)
    assert answer.status_code == 503 and answer.json()["waiting_for"] == ["postgresql"]
    postgres.start()
    api.ready()
    assert api.predict(ROW).status_code == 200


def test_triton_goes_away_and_comes_back(api: Api, triton: Peer) -> None:
    api.start().ready()
    triton.stop()
    answer = api.predict(ROW)
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
    assert answer.json()["waiting_for"] == ["triton"]
    until(lambda: api.client.get("/readyz").status_code == 503)
    assert "triton" in api.client.get("/readyz").json()["waiting_for"]
    triton.start()
    until(lambda: api.predict(ROW).status_code == 200, 10)
    api.ready()


def test_a_model_that_is_waited_for(api: Api, triton: Peer) -> None:
    triton.service.hidden = {"digits"}
    api.start(models="digits")
    until(lambda: api.client.get("/readyz").json().get("waiting_for") == ["models"])
    assert api.predict(ROW).json()["waiting_for"] == ["models"]
    triton.service.hidden = set()
    api.ready()
    assert api.predict(ROW).status_code == 200
    assert api.predict(ROW, version="9").status_code == 404, "nobody waits for a version"


def test_a_clean_stop_loses_nothing(api: Api, postgres: Postgres, database: str, triton: Peer) -> None:
    api.start(workers=2, records_flush_seconds=60).ready()
    triton.service.delay = 0.02
    with asked_until_it_is_gone(api) as (ids, codes):
        time.sleep(1)
        began = time.monotonic()
        assert api.stop() == 0
        assert time.monotonic() - began < 25  # stop_seconds, and some for a busy machine
    assert codes == {200} and len(ids) > 20
    assert ids <= recorded(postgres, database)


def test_an_idle_client_does_not_hold_up_the_stop(api: Api) -> None:
    api.start().ready()
    assert api.answers("/healthz")  # its connection stays open, and nobody reads from it any more
    began = time.monotonic()
    api.stop()
    assert time.monotonic() - began < 18  # stop_seconds is 20


def test_a_client_let_in_while_it_stops_does_not_hold_it_up(api: Api, triton: Peer) -> None:
    api.start().ready()
    triton.service.delay = 2
    under_way = threading.Thread(target=api.predict, args=(ROW,))
    with socket.create_connection(("127.0.0.1", api.port)) as plain:
        under_way.start()
        until(lambda: api.metric("inference_api_in_flight") == 1)
        assert api.process
        api.process.terminate()
        until(lambda: "Waiting for connections to close" in api.log.read_text())
        began = time.monotonic()
        with api.context.wrap_socket(plain, server_hostname="localhost") as late:
            api.process.wait(40)
            assert time.monotonic() - began < 15  # not the 20 of stop_seconds
            assert late.recv(1) == b""
    under_way.join()


def test_a_stop_without_postgresql_leaves_the_records_to_the_next_start(
    api: Api, postgres: Postgres, database: str
) -> None:
    api.start(workers=3, records_flush_seconds=60).ready()
    ids = predicted(api, 30)
    postgres.stop()
    assert api.stop() == 0
    postgres.start()
    api.start(workers=1).ready()  # fewer workers: what the others left is adopted
    until(lambda: recorded(postgres, database) == ids)


def test_an_answer_waits_for_postgresql_where_records_are_durable(api: Api, postgres: Postgres, database: str) -> None:
    api.start(records_durable=True, records_flush_seconds=600).ready()
    ids = predicted(api, 5)
    assert recorded(postgres, database) == ids
    postgres.stop()
    assert problem(api.predict(ROW), 503, "unavailable")["waiting_for"] == ["postgresql"]
    postgres.start()
    until(lambda: api.predict(ROW).status_code == 200)
    assert ids < recorded(postgres, database)


def test_what_was_written_but_not_confirmed_is_not_written_twice(
    api: Api, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    api.start().ready()
    postgres.stop()
    ids = predicted(api, 8)
    until(lambda: api.metric("inference_api_records_spooled_total") == 8)
    spool = tmp_path / "state" / "worker-0" / FILE_NAME
    kept = spool.read_bytes()
    postgres.start()
    until(lambda: recorded(postgres, database) == ids)
    api.stop()
    spool.write_bytes(kept)  # as a crash between the write and its confirmation leaves it
    api.start()
    until(lambda: spool.stat().st_size == 0)
    assert recorded(postgres, database) == ids


def test_a_full_spool_counts_what_it_cannot_keep(api: Api, postgres: Postgres, database: str) -> None:
    api.start(spool_limit_bytes=2000).ready()
    postgres.stop()
    ids = predicted(api, 30)
    until(lambda: api.metric('inference_api_records_lost_total{reason="spool_full"}') > 0)
    lost = until(
        lambda: (
            api.metric("inference_api_records_spooled_total") + api.metric("inference_api_records_lost_total") == 30
            and api.metric("inference_api_records_lost_total")
        )
    )
    postgres.start()
    until(lambda: len(recorded(postgres, database)) == 30 - lost)
    assert recorded(postgres, database) < ids


def test_a_killed_worker_is_replaced_and_goes_on_counting(api: Api) -> None:
    api.start(workers=2).ready()
    state = api.log.parent / "state"
    until(lambda: len(list(state.glob("worker-*"))) == 2)
    predicted(api, 10)
    before = api.metric("inference_api_requests_total")
    killed = state / "worker-0" / "lock"
    pid = killed.read_text()
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: killed.read_text() not in ("", pid))
    api.renew()
    api.ready()
    assert api.metric("inference_api_requests_total") == before
    predicted(api, 5)
    assert api.metric("inference_api_requests_total") == before + 5
    assert len(list(state.glob("worker-*"))) == 2
