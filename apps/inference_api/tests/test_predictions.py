"""Predictions over HTTPS, checked against numpy, and their records."""

from __future__ import annotations

import hashlib
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from conftest import Peer
from inference_api.database_keys import set_key
from inference_api.settings import load
from postgres import Postgres
from process import Api, command, until
from triton_peer import DIGITS, POISON, digits

ROWS = np.random.default_rng(7).integers(0, 17, size=(40, 64)).astype(np.float32)


def test_rows_get_the_models_answers(api: Api) -> None:
    api.start().ready()
    answer = api.predict(ROWS[:5].tolist())
    assert answer.status_code == 200, answer.text
    wanted = digits("2", ROWS[:5])
    assert answer.json()["model"] == "digits" and answer.json()["version"] == "2"
    assert answer.json()["outputs"]["label"] == wanted["label"].tolist()
    np.testing.assert_allclose(answer.json()["outputs"]["probabilities"], wanted["probabilities"], rtol=1e-4, atol=1e-6)


def test_a_single_row_and_a_version(api: Api) -> None:
    api.start().ready()
    answer = api.predict(ROWS[0].tolist(), version=1).json()
    assert answer["version"] == "1"
    assert answer["outputs"]["label"] == [[int((ROWS[0] @ DIGITS["1"]).argmax())]]


def test_the_open_inference_protocol(api: Api) -> None:
    api.start().ready()
    get = api.client.get
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}
    metadata = get("/v2/models/digits").json()
    assert metadata["versions"] == ["1", "2"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}]
    assert get("/v2/models/digits/versions/2/ready").json() == {"name": "digits", "ready": True}
    tensor = {"name": "image", "shape": [2, 64], "datatype": "FP32", "data": ROWS[:2].reshape(-1).tolist()}
    answer = api.client.post(
        "/v2/models/digits/versions/1/infer", json={"id": "mine", "inputs": [tensor], "outputs": [{"name": "label"}]}
    ).json()
    label = digits("1", ROWS[:2])["label"].reshape(-1).tolist()
    output = {"name": "label", "datatype": "INT64", "shape": [2, 1], "data": label}
    assert answer == {"model_name": "digits", "model_version": "1", "id": "mine", "outputs": [output]}


def test_other_models_two_inputs_strings_and_one_that_does_not_batch(api: Api) -> None:
    api.start().ready()
    tensors = [
        {"name": "right", "shape": [1, 2], "datatype": "INT64", "data": [[10, 20]]},
        {"name": "left", "shape": [1, 2], "datatype": "INT64", "data": [1, 2]},
    ]
    answer = api.client.post("/v2/models/pair/infer", json={"inputs": tensors}).json()
    assert answer["outputs"][0]["data"] == [11, 22]
    assert api.predict([["grün"], ["b"]], "words").json()["outputs"] == {"upper": [["GRÜN"], ["B"]]}
    assert api.predict([[1.0] * 4] * 4, "image").json()["outputs"] == {"mean": [1.0]}


def test_requests_that_meet_are_merged_and_each_gets_its_own_rows(api: Api, triton: Peer) -> None:
    api.start().ready()
    triton.service.delay = 0.05
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda row: api.predict(row.tolist()).json(), ROWS[:24]))
    assert [answer["outputs"]["label"][0] for answer in answers] == digits("2", ROWS[:24])["label"].tolist()
    assert len(triton.service.calls) < 24 and max(triton.service.calls) > 1
    assert api.metric("inference_api_engine_merged_total") == 24
    assert api.metric("inference_api_engine_calls_total") == len(triton.service.calls)


def test_a_request_that_the_model_refuses_does_not_fail_its_neighbours(api: Api, triton: Peer) -> None:
    api.start().ready()
    triton.service.delay = 0.25  # long enough for most to meet in the queue
    rows = [row.tolist() for row in ROWS[:12]]
    rows[5][0] = POISON
    with ThreadPoolExecutor(12) as threads:
        codes = [answer.status_code for answer in threads.map(api.predict, rows)]
    assert codes == [200] * 5 + [502] + [200] * 6


def test_every_prediction_is_on_record(api: Api, postgres: Postgres, database: str) -> None:
    api.start().ready()
    sent = api.client.post("/v1/predict/digits", json={"inputs": ROWS[:2].tolist()}, headers={"x-request-id": "r-1"})
    assert sent.headers["x-request-id"] == "r-1"
    columns = "id::text, request_id, client, model, version, rows, input_sha256, output, latency_ms, now() - at"
    rows = until(lambda: postgres.query(f"SELECT {columns} FROM inference_api.predictions", database=database))
    (identity, request_id, client, model, version, count, digest, output, latency, age) = rows[0]
    assert (identity, request_id) == (sent.json()["id"], "r-1")
    assert (client, model, version, count) == ("tester", "digits", "2", 2)
    assert bytes(digest) == hashlib.sha256(struct.pack("<128f", *ROWS[:2].reshape(-1))).digest()
    assert output["label"] == sent.json()["outputs"]["label"]
    assert 0 < latency < 20_000 and abs(age.total_seconds()) < 60


def test_a_key_works_at_once_and_ends_with_its_revocation(api: Api) -> None:
    api.start().ready()
    key = "another-key-0123456789-0123456789-0123"
    headers = {"authorization": f"Bearer {key}"}

    def code() -> int:
        return api.client.post("/v1/predict/digits", json={"inputs": [0.0] * 64}, headers=headers).status_code

    assert code() == 401
    command(api.environment, "keys", "set", "late", stdin=key)
    until(lambda: code() == 200, 3)
    command(api.environment, "keys", "revoke", "late")
    until(lambda: code() == 401, 3)


def test_a_key_ends_when_it_expires_without_being_read_again(api: Api) -> None:
    key = "short-lived-key-0123456789-0123456789"
    soon = datetime.now(UTC) + timedelta(seconds=8)
    set_key(load(api.environment), "short-lived", key.encode(), soon)
    api.start(keys_refresh_seconds=600).ready()
    headers = {"authorization": f"Bearer {key}"}
    if datetime.now(UTC) < soon:  # a starved machine may take longer to start
        assert api.client.get("/v2", headers=headers).status_code == 200
    until(lambda: api.client.get("/v2", headers=headers).status_code == 401)
    assert datetime.now(UTC) >= soon


@pytest.mark.parametrize("workers", [3])
def test_metrics_count_what_all_workers_did(api: Api, workers: int) -> None:
    api.start(workers=workers).ready()
    with ThreadPoolExecutor(8) as threads:
        codes = list(
            threads.map(
                lambda row: (
                    api.client.post(
                        "/v1/predict/digits", json={"inputs": row.tolist()}, headers={"connection": "close"}
                    ).status_code
                ),
                ROWS,
            )
        )
    assert codes == [200] * 40
    assert api.client.post("/v1/predict/digits", content=b"[").status_code == 400
    assert {api.metric('inference_api_requests_total{model="digits",code="200"}') for _ in range(6)} == {40}
    assert api.metric('inference_api_requests_total{model="digits",code="400"}') == 1
    assert api.metric('inference_api_request_seconds_count{model="digits"}') == 41
    assert api.metric('inference_api_request_seconds_bucket{model="digits",le="+Inf"}') == 41
    until(lambda: api.metric("inference_api_engine_up") == workers, 5)
    assert len(list((api.log.parent / "state").glob("worker-*"))) == workers
