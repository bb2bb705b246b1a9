"""The engine in the process, against the models that it is given; and against Triton, which must not be told apart."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import onnx_models
from bucket import Bucket
from inference_api.settings import load
from process import KEY, Api, until
from test_doors import CASES, LIMIT, answers, contract
from test_errors import problem
from triton_peer import MODELS, digits

ROWS = np.random.default_rng(11).integers(0, 17, size=(40, 64)).astype(np.float32)
ENDLESS = [10**12]


def rounded(value: Any) -> Any:
    """The document with its fractions to four places: two programs add numbers in another order."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def test_the_same_requests_get_the_same_answers_from_both_engines(
    migrated: dict[str, str], alone_environment: dict[str, str], published: Bucket
) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    cases = {name: (case[0], case[1], headers) for name, case in CASES.items()}
    limits = {"INFERENCE_API_BODY_LIMIT_BYTES": str(LIMIT), "INFERENCE_API_ONNXRUNTIME_ROWS_LIMIT": "32"}
    triton = asyncio.run(answers(load({**migrated, **limits}), cases))
    state = {"INFERENCE_API_STATE_DIRECTORY": alone_environment["INFERENCE_API_STATE_DIRECTORY"] + "-alone"}
    onnx = asyncio.run(answers(load({**alone_environment, **limits, **state}), cases))
    for name in CASES:
        assert onnx[name].begun == triton[name].begun, name
        for ours, theirs in zip(onnx[name][:3], triton[name][:3], strict=True):
            assert rounded(contract(ours)) == rounded(contract(theirs)), name


def test_metadata_come_from_the_files(alone: Api, published: Bucket) -> None:
    alone.start().ready()
    found = alone.client.get("/v2/models").json()["models"]
    shown = {
        model["name"]: [[tuple(tensor.values()) for tensor in model[kind]] for kind in ("inputs", "outputs")]
        for model in found
    }
    assert shown == {
        name: [[(*tensor[:2], list(tensor[2])) for tensor in tensors] for tensors in model[1:3]]
        for name, model in MODELS.items()
    }, "as Triton shows them"
    image = {"name": "image", "datatype": "FP32", "shape": [-1, 64]}
    digits_now = alone.client.get("/v2/models/digits").json()
    assert (digits_now["versions"], digits_now["platform"]) == (["1", "2"], "onnxruntime_onnx")
    document = problem(alone.predict([[1.0, 2.0]]), 400, "invalid-request")
    assert document["expected"]["inputs"] == [image] and "[1, 2]" in document["detail"]


def test_requests_that_meet_are_merged_and_each_gets_its_own_rows(alone: Api, bucket: Bucket) -> None:
    bucket.publish("slow", "1", onnx_models.slow())
    alone.start(onnxruntime_calls_limit=1).ready()
    numbers = range(20_000, 20_024)  # long enough for most to meet in the queue
    with ThreadPoolExecutor(24) as threads:
        found = list(threads.map(lambda number: alone.predict([number], "slow").json()["outputs"]["same"], numbers))
    assert found == [[[number]] for number in numbers]
    assert alone.metric("inference_api_engine_merged_total") == 24
    assert alone.metric("inference_api_engine_calls_total") < 24


def test_a_model_without_an_end_is_stopped_and_holds_nobody_up(alone: Api, published: Bucket) -> None:
    published.publish("slow", "1", onnx_models.slow())
    alone.start(time_limit_seconds=1.5, onnxruntime_calls_limit=1).ready()
    assert alone.predict([10], "slow").json()["outputs"] == {"same": [[10]]}
    with ThreadPoolExecutor(2) as threads:
        endless = threads.submit(alone.predict, ENDLESS, "slow")
        until(lambda: alone.metric("inference_api_in_flight") == 1)
        began = time.monotonic()
        assert alone.predict(ROWS[0].tolist()).status_code == 200
        assert time.monotonic() - began < 1, "another model waited for it"
        problem(endless.result(), 504, "time-limit")
    assert alone.predict([10], "slow").json()["outputs"] == {"same": [[10]]}, "its thread is free again"


def test_a_request_that_the_model_refuses_does_not_fail_its_neighbours(alone: Api, bucket: Bucket) -> None:
    bucket.publish("pick", "1", onnx_models.pick())
    alone.start(onnxruntime_calls_limit=1).ready()
    numbers = [0, 1, 2, 99, 4, 5, 6, 7]
    with ThreadPoolExecutor(len(numbers)) as threads:
        found = list(threads.map(lambda number: alone.predict([number], "pick"), numbers))
    problem(found.pop(3), 400, "invalid-request")
    assert [answer.json()["outputs"]["value"] for answer in found] == [[[n * 10]] for n in (0, 1, 2, 4, 5, 6, 7)]


def test_versions_may_take_other_inputs_than_each_other(alone: Api, bucket: Bucket) -> None:
    bucket.publish("digits", "1", onnx_models.digits("1"))
    bucket.publish("digits", "2", onnx_models.pick())
    alone.start().ready()
    assert alone.predict([3]).json()["outputs"] == {"value": [[30]]}
    label = digits("1", ROWS[:1])["label"].tolist()
    assert alone.predict(ROWS[0].tolist(), version="1").json()["outputs"]["label"] == label
    assert alone.client.get("/v2/models/digits/versions/1").json()["inputs"][0]["name"] == "image"
    assert alone.client.get("/v2/models/digits").json()["inputs"][0]["name"] == "index"
