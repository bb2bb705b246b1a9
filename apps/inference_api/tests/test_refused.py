"""A record that cannot be kept is set aside by its name; the others do not wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from bucket import Bucket, Gate
from inference_api import slots
from inference_api.metrics import Metrics, render
from inference_api.parquet_store import ParquetStore
from inference_api.records import Recorder
from inference_api.settings import Settings, load
from inference_api.stores import Prediction, RefusedError
from postgres import Postgres
from process import Api, until
from test_errors import problem
from test_recovery import ROW, recorded

LOST = 'inference_api_records_lost_total{reason="refused"}'


def prediction(number: int, digest: bytes = b"d" * 32, client: str = "tester") -> Prediction:
    ident = f"00000000-0000-4000-8000-{number:012}"
    return Prediction(ident, f"r-{number}", 1.8e9, client, "digits", "1", 1.0, 1, digest, "{}")


ARROW_REFUSES = prediction(7, digest=b"short")
NO_TEXT = prediction(9, client="t\udcffster")
ALL = [prediction(number) for number in range(7)] + [ARROW_REFUSES, prediction(8), NO_TEXT, prediction(10)]
GOOD = sorted(one.id for one in ALL if one not in (ARROW_REFUSES, NO_TEXT))


async def record(settings: Settings, predictions: Sequence[Prediction]) -> list[object]:
    """What each prediction's answer hears, from start to clean stop; nothing where records are not durable."""
    slot = slots.claim(settings.state_directory)
    recorder = Recorder(settings, ParquetStore(settings), slot, Metrics(slot.folder))
    owed = [recorder.add(one) for one in predictions]
    recorder.start()
    waited_for = [future for future in owed if future is not None]
    heard = await asyncio.wait_for(asyncio.gather(*waited_for, return_exceptions=True), 20)
    await recorder.stop()
    slot.close()
    return heard


def settings_of(environment: dict[str, str], **more: object) -> Settings:
    return load(environment | {f"INFERENCE_API_{name.upper()}": str(value) for name, value in more.items()})


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno == logging.ERROR]


def test_what_arrow_refuses_is_set_aside(
    alone_environment: dict[str, str], bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(alone_environment)
    asyncio.run(record(settings, ALL))
    assert bucket.ids() == GOOD
    named = [f"prediction {one.id} (request {one.request_id} of {one.client!r})" for one in (ARROW_REFUSES, NO_TEXT)]
    assert [line.partition(":")[0] for line in said(caplog)] == named
    assert "size mismatch" in said(caplog)[0] and "can't encode" in said(caplog)[1]
    assert f"{LOST} 2.0" in render(settings.state_directory).decode()


def test_an_answer_that_waits_for_such_a_record_hears_of_it(alone_environment: dict[str, str], bucket: Bucket) -> None:
    heard = asyncio.run(record(settings_of(alone_environment, records_durable=True), ALL))
    refused = [one for one, result in zip(ALL, heard, strict=True) if isinstance(result, RefusedError)]
    assert refused == [ARROW_REFUSES, NO_TEXT] and heard.count(True) == len(ALL) - 2
    assert bucket.ids() == GOOD


def test_what_the_spool_cannot_hold_is_set_aside(
    alone_environment: dict[str, str], bucket: Bucket, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(alone_environment, storage_timeout_seconds=1)
    gate.shut()
    asyncio.run(record(settings, ALL))
    assert bucket.ids() == [] and len(said(caplog)) == 1 and NO_TEXT.id in said(caplog)[0]
    gate.open()
    asyncio.run(record(settings, []))
    assert bucket.ids() == GOOD and ARROW_REFUSES.id in said(caplog)[1]


def test_a_client_hears_that_its_record_is_refused_and_the_others_do_not_wait(
    api: Api, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    """PostgreSQL's jsonb takes every text but one with a null character."""
    api.start(records_durable=True, records_flush_seconds=600).ready()
    document = problem(api.predict([["a\0b"]], model="words"), 500, "record-refused")
    assert "postgresql" in document["detail"]
    answer = api.predict(ROW)
    assert answer.status_code == 200 and recorded(postgres, database) == {answer.json()["id"]}
    assert api.metric(LOST) == 1 and document["request_id"] in (tmp_path / "log").read_text()
    until(lambda: api.client.get("/readyz").json() == {"status": "ready", "waiting_for": []})
