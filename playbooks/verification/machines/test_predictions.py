"""Partners get right answers over HTTPS, each is written down, and bad requests are refused as documented."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from conftest import API_PYTHON, outside
from shared import PREDICT, labels, problem, recognised, until

ROWS = """
import psycopg
tls = {"sslmode": "verify-full", "sslrootcert": "/etc/ssl/certs/ca-certificates.crt"}
with psycopg.connect(**given["database"], **tls) as connection:
    rows = connection.execute(
        "select id::text, model, version, rows, latency_ms > 0 from inference_api.predictions where id = any(%s::uuid[])",
        [given["ids"]],
    ).fetchall()
print(json.dumps(rows))
"""


@pytest.mark.parametrize("version", ["1", "2"])
def test_held_out_digits_are_recognised(edge, key, heldout, version):
    assert recognised(edge, key, heldout, version) >= 0.95


def test_http_2_and_security_headers(edge, key, heldout):
    answer = edge.post(PREDICT, headers=key, json={"inputs": heldout[0][:1]})
    assert answer.http_version == "HTTP/2"
    assert "max-age=" in answer.headers["strict-transport-security"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_prediction_has_its_row(stage, edge, key, heldout):
    images, _ = heldout
    answers = [edge.post(PREDICT, headers=key, json={"inputs": [image]}).json() for image in images[:20]]
    facts = stage.facts["database"]
    database = {
        "host": facts["host"], "port": facts["port"], "dbname": facts["name"], "user": facts["user"],
        "password": stage.secret("database", "password"),
    }  # fmt: skip
    wanted = sorted([a["id"], "digits", a["version"], 1, True] for a in answers)
    assert len({row[0] for row in wanted}) == 20
    backend, given = stage.machines("backend")[0], {"database": database, "ids": [a["id"] for a in answers]}
    # Rows are written in batches, a moment after the answer.
    rows = until(lambda: sorted(stage.ask(backend, ROWS, given, API_PYTHON)), lambda rows: rows == wanted, 20)
    assert rows == wanted


def test_the_open_inference_protocol_answers_the_same(edge, key, heldout):
    images, _ = heldout
    body = {"inputs": [{"name": "image", "shape": [1, 64], "datatype": "FP32", "data": images[0]}]}
    answer = edge.post("/v2/models/digits/versions/2/infer", headers=key, json=body)
    assert answer.status_code == 200, answer.text
    outputs = {output["name"]: output for output in answer.json()["outputs"]}
    plain = edge.post(PREDICT, headers=key, json={"inputs": [images[0]], "version": "2"}).json()
    assert outputs["label"]["data"] == labels(plain)


def test_no_key_and_a_wrong_key_are_refused(edge, heldout):
    body = {"inputs": heldout[0][:1]}
    problem(edge.post(PREDICT, json=body), 401)
    problem(edge.post(PREDICT, headers={"Authorization": "Bearer no-such-key"}, json=body), 401)


def test_a_bad_body_is_refused_with_what_is_expected(edge, key):
    problem(edge.post(PREDICT, headers=key, content=b"{not json"), 400)
    told = problem(edge.post(PREDICT, headers=key, json={"inputs": [[1.0, 2.0]]}), 400)
    assert "64" in json.dumps(told)


def test_a_body_that_is_too_large_is_refused(stage):
    """By curl: httpx does not read an early answer while the server holds its window closed."""
    host, address = stage.facts["public_hostname"], stage.facts["machines"][stage.machines("edge")[0]]["public"]
    done = subprocess.run(
        ["curl", "-s", "-m", "15", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", stage.facts["ca"],
         "--resolve", f"{host}:443:{address}", "--data-binary", "@/dev/stdin", f"https://{host}{PREDICT}"],
        input=b" " * (8 << 20), capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout == b"413"


def test_an_unknown_model_is_not_found(edge, key):
    problem(edge.post("/v1/predict/no-such-model", headers=key, json={"inputs": [[0.0] * 64]}), 404)


def test_metrics_are_not_for_the_public(edge):
    assert edge.get("/metrics").status_code in (403, 404)


def test_requests_that_meet_get_the_answers_that_they_get_alone(stage, edge, key, heldout):
    """Rows of several requests go to the model server as one batch."""
    images = heldout[0][:20]
    together = labels(edge.post(PREDICT, headers=key, json={"inputs": images}).json())
    with ExitStack() as open_clients, ThreadPoolExecutor(len(images)) as threads:
        clients = [open_clients.enter_context(outside(stage)) for _ in images]
        list(threads.map(lambda client: client.get("/healthz"), clients))  # connected, so that what follows meets
        answers = threads.map(
            lambda client, image: client.post(PREDICT, headers=key, json={"inputs": [image]}), clients, images
        )
        assert [label for answer in answers for label in labels(answer.json())] == together


def test_a_model_says_what_it_takes_and_refuses_the_rest(stage, edge, key, heldout):
    images, _ = heldout
    described = edge.get("/v2/models/digits", headers=key).json()
    assert described["versions"] == sorted(stage.facts["models"]["digits"]["versions"])
    assert described["inputs"][0]["shape"] == [-1, 64]
    problem(edge.post(PREDICT, headers=key, json={"inputs": images[:1], "version": "999"}), 404)
    problem(edge.post(PREDICT, headers=key, json={"inputs": images[:100]}), 400)  # more than the model takes at once
