"""Predictions as Parquet objects, read by pyarrow and counted: all of them, each once, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stagecraft.predictions import Kept, MisplacedError
from storage import BUCKET, KEY, SECRET

from bucket import Bucket, Gate
from process import Api, until
from test_errors import problem
from test_recovery import asked_until_it_is_gone, predicted

DOCS = Path(__file__).parents[3] / "docs"
CUT = 3000  # bytes of a request; its head has some hundred
ROWS = np.random.default_rng(13).integers(0, 17, size=(2, 64)).astype(np.float32)


def killed(api: Api) -> None:
    """SIGKILL: what is in memory now is gone."""
    assert api.process
    api.process.kill()
    api.process.wait()


def test_every_prediction_is_on_record(alone: Api, published: Bucket) -> None:
    alone.start().ready()
    sent = alone.client.post("/v1/predict/digits", json={"inputs": ROWS.tolist()}, headers={"x-request-id": "r-1"})
    (row,) = until(published.rows)
    at, latency = row.pop("at"), row.pop("latency_ms")
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=60) and 0 < latency < 20_000
    assert json.loads(row.pop("output"))["label"] == sent.json()["outputs"]["label"]
    assert row == {
        "id": sent.json()["id"],
        "request_id": "r-1",
        "client": "tester",
        "model": "digits",
        "version": "2",
        "rows": 2,
        "input_sha256": hashlib.sha256(struct.pack("<128f", *ROWS.reshape(-1))).digest(),
    }


def test_an_hour_is_read_as_the_documentation_shows(
    alone: Api, published: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone.start(records_durable=True).ready()
    ids = predicted(alone, 3)  # an object each
    (at, *_) = (row["at"] for row in published.rows())
    early = published.storage.keys(f"{published.prefix}/predictions/")[0]
    other = f"{published.prefix}/predictions/dt=2020-01-31/hour=08/other.parquet"  # nobody asks for that hour
    published.storage.overwrite(other, published.storage.read(early))
    (shown,) = re.findall(r"```python\n(.*?)```", (DOCS / "mvp.md").read_text(), re.DOTALL)
    here = {
        '"storage.yandexcloud.net"': f'"{published.storage.endpoint}", tls_ca_file_path="{published.storage.ca}"',
        "BUCKET": f"{BUCKET}/{published.prefix}/predictions",
        "2027-01-31": at.strftime("%Y-%m-%d"),
        "== 23": f"== {at.hour}",
    }
    for said, meant in here.items():
        assert shown.count(said) == 1
        shown = shown.replace(said, meant)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    found: dict[str, Any] = {}
    exec(shown, found)
    rows = found["table"].to_pylist()
    assert sorted(row["id"] for row in rows) == sorted(ids) and found["kept"].count_rows() == 4
    assert {json.loads(row["output"])["label"][0][0] for row in rows} <= set(range(10))


def test_a_reader_takes_what_is_new_and_names_what_lies_elsewhere(alone: Api, published: Bucket) -> None:
    alone.start().ready()
    begin = datetime.now(UTC) - timedelta(minutes=5)
    place = (published.storage.client, BUCKET, f"{published.prefix}/predictions")
    fresh, later = Kept(*place, since=begin), Kept(*place, since=begin + timedelta(minutes=6))
    for count in (1, 2):
        ids = predicted(alone, count)
        until(lambda now=ids: now <= {row["id"] for row in fresh.rows()})
    assert len(fresh.rows()) == 3 and later.rows() == []
    assert Kept(*place).rows(deadline=0) == [], "it is over before the first object"
    key = published.storage.keys(f"{published.prefix}/predictions/")[0]
    for wrong, words in (("dt=2020-01-31/hour=01/x.parquet", "lies in another hour"), ("x.parquet", "is no object of")):
        there = f"{published.prefix}/predictions/{wrong}"
        published.storage.overwrite(there, published.storage.read(key))
        with pytest.raises(MisplacedError, match=f"{wrong}.*{words}"):
            Kept(*place).rows()
        published.storage.remove(there)


def test_batches_are_closed_by_their_size_and_by_their_time(alone: Api, published: Bucket) -> None:
    alone.start(records_batch=10, records_flush_seconds=600).ready()
    ids = predicted(alone, 10)
    until(lambda: published.ids() == sorted(ids))
    assert len(published.storage.keys(f"{published.prefix}/predictions/")) == 1
    alone.stop()
    alone.start(records_flush_seconds=1).ready()
    ids |= predicted(alone, 3)
    until(lambda: published.ids() == sorted(ids))


def test_while_many_ask_each_object_is_a_whole_batch(alone: Api, published: Bucket) -> None:
    alone.start(records_batch=20, records_flush_seconds=600).ready()
    with ThreadPoolExecutor(8) as clients:
        codes = list(clients.map(lambda _: alone.predict(ROWS.tolist()).status_code, range(200)))
    assert set(codes) == {200}
    until(lambda: len(published.ids()) == 200)
    assert len(published.storage.keys(f"{published.prefix}/predictions/")) == 10


def test_a_clean_stop_loses_nothing(alone: Api, published: Bucket) -> None:
    alone.start(workers=2, records_flush_seconds=60).ready()
    with asked_until_it_is_gone(alone) as (ids, codes):
        time.sleep(1)
        assert published.rows() == []
        assert alone.stop() == 0
    found = published.ids()
    assert codes == {200} and len(ids) > 20
    assert ids <= set(found) and len(found) == len(set(found))


def test_the_bucket_goes_away_and_comes_back(alone: Api, published: Bucket, gate: Gate) -> None:
    alone.start().ready()
    ids = predicted(alone, 5)
    until(lambda: published.ids() == sorted(ids))
    gate.shut()
    ids |= predicted(alone, 20)
    until(lambda: alone.metric("inference_api_records_spooled_total") == 20)
    until(lambda: alone.client.get("/readyz").json() == {"status": "degraded", "waiting_for": ["object-storage"]})
    until(lambda: alone.metric("inference_api_store_up") == 0)
    gate.open()
    until(lambda: published.ids() == sorted(ids))
    until(lambda: alone.client.get("/readyz").json()["status"] == "ready")
    assert alone.metric("inference_api_records_lost_total") == 0


def test_what_is_in_the_spool_survives_a_crash(alone: Api, published: Bucket, gate: Gate) -> None:
    alone.start().ready()
    gate.shut()
    ids = predicted(alone, 12)
    until(lambda: alone.metric("inference_api_records_spooled_total") == 12)
    killed(alone)
    gate.open()
    alone.start().ready()
    until(lambda: published.ids() == sorted(ids))


def test_an_answer_that_is_lost_makes_nothing_twice(alone: Api, published: Bucket, gate: Gate) -> None:
    alone.start(storage_timeout_seconds=1).ready()
    ids = predicted(alone, 3)
    until(lambda: published.ids() == sorted(ids))
    gate.lose_answers()
    ids |= predicted(alone, 7)
    until(lambda: published.ids() == sorted(ids))
    until(lambda: alone.metric("inference_api_records_spooled_total") > 0)
    gate.open()
    until(lambda: alone.metric("inference_api_spool_bytes") == 0)
    until(lambda: alone.metric("inference_api_records_waiting") == 0)
    assert published.ids() == sorted(ids)


@pytest.mark.parametrize("durable", [False, True])
def test_an_upload_that_breaks_off_leaves_no_object(alone: Api, published: Bucket, gate: Gate, durable: bool) -> None:
    alone.start(models_refresh_seconds=600, records_durable=durable, record_output_limit_bytes=1 << 20).ready()
    many = (
        np.random.default_rng(7).normal(size=(64, 64)).tolist()
    )  # their answers' objects are much larger than the cut
    folder = f"{published.prefix}/predictions/"
    gate.cut_after(CUT)
    answers = [alone.predict(many) for _ in range(2)]
    until(lambda: gate.cuts > 2)
    assert [answer.status_code for answer in answers] == [503 if durable else 200] * 2
    assert published.storage.keys(folder) == [], "half of a request makes no object"
    gate.open()
    given = {answer.json()["id"] for answer in answers if answer.status_code == 200}
    if durable:
        given.add(until(lambda: (answer := alone.predict(many)).status_code == 200 and answer).json()["id"])
    until(lambda: published.ids() == sorted(given))
    assert all(len(published.storage.read(key)) > CUT for key in published.storage.keys(folder))


def test_what_was_answered_is_on_record_at_once_where_records_are_durable(alone: Api, published: Bucket) -> None:
    ids = []
    for _ in range(2):
        alone.start(records_durable=True, records_flush_seconds=600).ready()
        alone.predict(ROWS.tolist(), model="pair")  # a connection is there
        answer = alone.predict(ROWS.tolist())
        killed(alone)
        ids.append(answer.json()["id"])
    assert published.ids() == sorted(ids)


def test_answers_that_meet_wait_for_one_object(alone: Api, published: Bucket) -> None:
    alone.start(records_durable=True, records_flush_seconds=600).ready()
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda row: alone.predict(row.tolist()).json(), np.repeat(ROWS, 32, axis=0)))
    assert published.ids() == sorted(answer["id"] for answer in answers)
    assert len(published.storage.keys(f"{published.prefix}/predictions/")) < len(answers)


def test_an_answer_waits_for_nothing_but_its_record(alone: Api, published: Bucket) -> None:
    alone.start(records_durable=True, records_flush_seconds=600).ready()
    alone.predict(ROWS.tolist())
    began = time.monotonic()
    ids = predicted(alone, 10)
    assert time.monotonic() - began < 5 and ids < set(published.ids())


def test_connections_that_end_while_it_gets_no_time_cost_no_answer(alone: Api, published: Bucket, gate: Gate) -> None:
    alone.start(records_durable=True).ready()
    ids = predicted(alone, 3)
    assert alone.process
    alone.process.send_signal(signal.SIGSTOP)
    gate.shut()
    gate.open()
    time.sleep(1)
    alone.process.send_signal(signal.SIGCONT)
    ids |= predicted(alone, 3)
    assert published.ids() == sorted(ids)


def test_no_answer_goes_out_without_its_record_where_records_are_durable(
    alone: Api, published: Bucket, gate: Gate
) -> None:
    alone.start(records_durable=True, time_limit_seconds=2).ready()
    ids = predicted(alone, 3)
    gate.shut()
    document = problem(alone.predict(ROWS.tolist()), 503, "unavailable")
    assert document["waiting_for"] == ["object-storage"] and "send the request again" in document["detail"]
    assert alone.predict(ROWS.tolist()).headers["retry-after"] == "2"
    assert alone.client.get("/readyz").json() == {"status": "degraded", "waiting_for": ["object-storage"]}
    gate.open()
    until(lambda: alone.predict(ROWS.tolist()).status_code == 200)
    gate.lose_answers()
    problem(alone.predict(ROWS.tolist()), 503, "unavailable")
    gate.open()
    later = until(lambda: (answer := alone.predict(ROWS.tolist())).status_code == 200 and answer).json()["id"]
    killed(alone)
    assert ids | {later} <= set(published.ids())
    assert alone.log.read_text().count("does not take them, they are refused") >= 1
