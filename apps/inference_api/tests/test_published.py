"""Models come from the bucket by version: checked, changed without a failed request, and never for the worse."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from model_sync.publish import publish
from model_sync.store import Address, Store
from storage import BUCKET, KEY, SECRET, Storage

import onnx_models
from bucket import Bucket, Gate
from process import Api, command, until
from triton_peer import DIGITS

TRAIN = Path(__file__).parents[3] / "models" / "digits" / "train.py"
ROW = np.arange(64, dtype=np.float32) % 17
LABELS = {version: int((ROW @ weights).argmax()) for version, weights in DIGITS.items()}
FIRST, SECOND = onnx_models.digits("1"), onnx_models.digits("2")


def served(api: Api) -> list[str]:
    return api.client.get("/v2/models/digits").json()["versions"]


def test_what_model_sync_publishes_is_served_and_right(
    alone: Api, storage: Storage, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, TRAIN, "--out", tmp_path / "built"], check=True)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    address = Address(BUCKET, f"{bucket.prefix}/models", storage.endpoint, ca_bundle=str(storage.ca))
    publish(tmp_path / "built" / "models", Store(address), check=False)
    alone.start(onnxruntime_rows_limit=360).ready()
    heldout = json.loads((tmp_path / "built" / "heldout.json").read_text())
    for version, accuracy in heldout["accuracy"].items():
        labels = alone.predict(heldout["images"], version=version).json()["outputs"]["label"]
        assert np.mean(np.array(labels)[:, 0] == heldout["labels"]) == accuracy >= 0.95
    assert alone.predict(heldout["images"][0]).json()["version"] == "2"


def test_a_new_version_takes_over_without_a_failed_request(alone: Api, bucket: Bucket) -> None:
    bucket.publish("digits", "1", FIRST)
    alone.start(onnxruntime_versions=1).ready()
    over = threading.Event()
    answers: Counter[tuple[int, str | None, int | None]] = Counter()
    lock = threading.Lock()

    def ask() -> None:
        with httpx.Client(verify=alone.context, base_url=alone.address, headers=alone.client.headers) as client:
            while not over.is_set():
                answer = client.post("/v1/predict/digits", json={"inputs": ROW.tolist()})
                document = answer.json()
                label = document["outputs"]["label"][0][0] if answer.status_code == 200 else None
                with lock:
                    answers[answer.status_code, document.get("version"), label] += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version, data in (("2", SECOND), ("3", FIRST), ("10", SECOND)):
        bucket.publish("digits", version, data)
        until(lambda now=version: any(key[1] == now for key in list(answers)))
    over.set()
    for thread in threads:
        thread.join()
    rights = {"1": LABELS["1"], "2": LABELS["2"], "3": LABELS["1"], "10": LABELS["2"]}
    assert set(answers) == {(200, version, label) for version, label in rights.items()}
    assert served(alone) == ["10"] and alone.predict(ROW.tolist(), version="3").status_code == 404
    assert alone.metric('inference_api_versions_served{model="digits",version="10"}') == 1
    assert alone.metric('inference_api_versions_served{model="digits",version="3"}') == 0


@contextmanager
def asked_only(api: Api) -> Iterator[Callable[[], httpx.Response]]:
    """Gives the process time only while it has a request, as a platform of containers does."""
    assert api.process
    process = api.process

    def ask() -> httpx.Response:
        process.send_signal(signal.SIGCONT)
        try:
            return api.predict(ROW.tolist())
        finally:
            process.send_signal(signal.SIGSTOP)

    process.send_signal(signal.SIGSTOP)
    try:
        yield ask
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("durable", [True, False])
def test_a_new_version_is_served_by_who_gets_time_only_while_it_is_asked(
    alone: Api, bucket: Bucket, durable: bool
) -> None:
    bucket.publish("digits", "1", FIRST)
    alone.start(models_refresh_on_request=True, models_refresh_seconds=1, records_durable=durable).ready()
    with asked_only(alone) as ask:
        for version, data, label in (("2", SECOND, LABELS["2"]), ("3", FIRST, LABELS["1"])):
            bucket.publish("digits", version, data)
            time.sleep(1.1)
            answer = ask().json()
            assert (answer["version"], answer["outputs"]["label"]) == (version, [[label]])
    assert "cannot be read" not in alone.log.read_text()


def test_a_look_that_takes_long_holds_up_one_request_and_that_for_a_while(
    alone: Api, bucket: Bucket, gate: Gate
) -> None:
    bucket.publish("digits", "1", FIRST)
    times = {"models_refresh_seconds": 5, "time_limit_seconds": 3, "storage_timeout_seconds": 30}
    alone.start(models_refresh_on_request=True, **times).ready()
    gate.lose_answers()
    time.sleep(5.1)
    for held in (1, 0):  # the second time the same look is still under way
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: alone.predict(ROW.tolist()), range(12)))
        assert {answer.status_code for answer in answers} == {200}
        assert len([answer for answer in answers if answer.elapsed.total_seconds() > 1.4]) == held
    bucket.publish("digits", "2", SECOND)
    gate.open()
    until(lambda: alone.predict(ROW.tolist()).json()["version"] == "2")


# what is wrong with the version: how it is published, and what the log says of it
BAD = {
    "missing": ({"stored": None}, "digits/2/model.onnx is missing, though the manifest names it"),
    "truncated": ({"stored": SECOND[:100]}, f"has 100 bytes, the manifest says {len(SECOND)}"),
    "longer": ({"stored": SECOND + b"x"}, f"has {len(SECOND) + 1} bytes, at most {len(SECOND)} are expected"),
    "changed": ({"stored": FIRST}, "has SHA-256 "),  # as many bytes as the second
    "no ONNX": ({"file": "weights.bin"}, "the manifest names no model.onnx for it"),
    "no model": ({"data": b"junk"}, "ONNX Runtime cannot load it: "),  # and with the checksum that was published
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_version_leaves_the_old_one_serving_until_it_is_repaired(alone: Api, bucket: Bucket, name: str) -> None:
    how, words = BAD[name]
    bucket.publish("digits", "1", FIRST)
    alone.start(models="digits").ready()
    assert alone.predict(ROW.tolist()).json()["outputs"]["label"] == [[LABELS["1"]]]
    bucket.publish("digits", "2", **{"data": SECOND, **how})
    refused = 'inference_api_versions_refused{model="digits",version="2"}'
    until(lambda: alone.metric(refused) == 1)
    assert served(alone) == ["1"]
    assert alone.predict(ROW.tolist()).json()["outputs"]["label"] == [[LABELS["1"]]]
    assert alone.predict(ROW.tolist(), version="2").status_code == 404
    state = alone.client.get("/readyz")
    assert state.status_code == 200
    assert state.json() == {"status": "degraded", "waiting_for": ["model digits version 2"]}
    bucket.publish("digits", "2", SECOND)
    until(lambda: served(alone) == ["1", "2"])
    assert alone.predict(ROW.tolist()).json()["outputs"]["label"] == [[LABELS["2"]]]
    assert alone.metric(refused) == 0 and alone.client.get("/readyz").json()["status"] == "ready"
    lines = [line for line in alone.log.read_text().splitlines() if "is not served" in line]
    assert len(lines) == 1 and words in lines[0] and lines[0].startswith("ERROR"), lines


def test_a_version_that_is_spoilt_goes_on_as_it_was_loaded(alone: Api, bucket: Bucket) -> None:
    bucket.publish("digits", "1", FIRST)
    alone.start().ready()
    bucket.publish("digits", "1", SECOND, stored=None)
    until(lambda: alone.client.get("/readyz").json()["waiting_for"] == ["model digits version 1"])
    assert alone.predict(ROW.tolist()).json()["outputs"]["label"] == [[LABELS["1"]]]
    bucket.publish("digits", "1", FIRST)
    until(lambda: alone.client.get("/readyz").json()["status"] == "ready")


def test_a_bad_version_that_newer_ones_replaced_is_forgotten(alone: Api, bucket: Bucket) -> None:
    bucket.publish("digits", "1", FIRST)
    bucket.publish("digits", "2", b"junk")
    alone.start(onnxruntime_versions=1).ready()
    assert alone.client.get("/readyz").json()["status"] == "degraded"
    bucket.publish("digits", "3", SECOND)
    until(lambda: alone.client.get("/readyz").json()["status"] == "ready")
    assert alone.predict(ROW.tolist()).json()["version"] == "3"


def test_a_file_that_is_no_model_and_one_that_cannot_be_spoken_to(alone: Api, bucket: Bucket) -> None:
    bucket.publish("digits", "1", FIRST)
    bucket.publish("digits", "2", b"junk")
    bucket.publish("empty", "1", b"")
    bucket.publish("lists", "1", onnx_models.sequence())
    alone.start().ready()
    refused = ["model digits version 2", "model empty version 1", "model lists version 1"]
    assert sorted(alone.client.get("/readyz").json()["waiting_for"]) == refused
    assert [model["name"] for model in alone.client.get("/v2/models").json()["models"]] == ["digits"]
    assert alone.log.read_text().count("ONNX Runtime cannot load it: ") == 2
    assert "both is a seq(tensor(float)), which has no JSON form" in alone.log.read_text()
    assert "Traceback" not in alone.log.read_text()


def test_without_its_bucket_it_is_not_ready_and_then_goes_on_without(alone: Api, published: Bucket, gate: Gate) -> None:
    gate.shut()
    alone.start()
    until(lambda: "models" in alone.client.get("/readyz").json()["waiting_for"])
    answer = alone.predict(ROW.tolist())
    assert (answer.status_code, answer.json()["waiting_for"]) == (503, ["object-storage"])
    gate.open()
    alone.ready()
    gate.shut()
    until(lambda: "object-storage" in alone.client.get("/readyz").json()["waiting_for"])
    assert alone.client.get("/readyz").status_code == 200
    assert alone.predict(ROW.tolist()).json()["outputs"]["label"] == [[LABELS["2"]]]
    until(lambda: alone.metric("inference_api_models_up") == 0)
    assert alone.metric("inference_api_engine_up") == 1


def test_with_nothing_to_serve_it_says_so_once_and_what_is_to_be_done(alone: Api, bucket: Bucket) -> None:
    alone.start()
    until(lambda: alone.metric("inference_api_models_up") == 0)
    time.sleep(1.5)  # some more looks
    bucket.publish("digits", "1", b"junk")
    until(lambda: "models: read, 0 known" in alone.log.read_text())
    bucket.publish("digits", "2", SECOND)
    alone.ready()
    said = [line for line in alone.log.read_text().splitlines() if line.startswith(("ERROR", "WARN"))]
    assert len(said) == 3 and "last known" not in alone.log.read_text(), said
    for line, words in zip(
        said,
        (
            "models: cannot be read, no model can be served: ",
            "version 1 is not served: ",
            "no model can be served: object-storage offers none",
        ),
        strict=True,
    ):
        assert line.startswith("ERROR") and words in line


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"not JSON", "is not a manifest"), (b'{"models": {"../x": {"versions": {}}}}', "is not a manifest")],
)
def test_a_manifest_that_is_none_changes_nothing(alone: Api, published: Bucket, content: bytes, words: str) -> None:
    alone.start().ready()
    published.write_manifest(content)
    until(lambda: alone.client.get("/readyz").json()["status"] == "degraded")
    assert alone.predict(ROW.tolist()).status_code == 200 and words in alone.log.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"storage_key_id": "nobody"}, "InvalidAccessKeyId: check storage_key_id"),
        ({"models_url": "s3://nowhere/models"}, "NoSuchBucket: check the bucket's name"),
        (
            {"storage_endpoint": "https://127.0.0.1:9"},
            "the endpoint cannot be reached: check storage_endpoint and the network",
        ),
        (
            {"storage_ca_file": "/etc/ssl/certs/ca-certificates.crt"},
            "the endpoint's certificate is not trusted: check it and storage_ca or storage_ca_file",
        ),
    ],
)
def test_a_bucket_that_cannot_be_read_says_why(alone: Api, change: dict[str, str], words: str) -> None:
    alone.start(**change)
    until(lambda: words in alone.log.read_text())
    said = next(line for line in alone.log.read_text().splitlines() if words in line)
    assert "models" in said and SECRET not in alone.log.read_text()


def test_models_from_a_folder_and_one_that_is_not_there(alone: Api, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    done = command({**alone.environment, "INFERENCE_API_MODELS_URL": f"file://{folder}"}, "check-config", check=False)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and str(folder) in done.stderr
    (folder / "digits" / "1").mkdir(parents=True)
    (folder / "digits" / "1" / "model.onnx").write_bytes(FIRST)
    entry = {"sha256": hashlib.sha256(FIRST).hexdigest(), "size": len(FIRST)}
    manifest = {"models": {"digits": {"versions": {"1": {"files": {"model.onnx": entry}}}}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    alone.start(models_url=f"file://{folder}").ready()
    assert alone.predict(ROW.tolist()).json()["outputs"]["label"] == [[LABELS["1"]]]
