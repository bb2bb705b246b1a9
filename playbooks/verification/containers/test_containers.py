"""Clients get right answers from the gateway, each is kept, and bad requests are refused as documented."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import client
from shared import PREDICT, days_left, labels, problem, recognised

from stagecraft.predictions import Kept

KEPT_WITHIN = 60  # seconds from an answer to its row
RENEWED = 14  # days before its end; the cloud renews a certificate that it manages well before that
CLOCKS = timedelta(minutes=5)  # by which the clocks of the bucket and of this machine may differ


@pytest.mark.parametrize("version", ["1", "2"])
def test_held_out_digits_are_recognised(gateway, key, heldout, version):
    assert recognised(gateway, key, heldout, version) >= 0.95


def storage(stage, account):
    """A client of the buckets, with the static key of a service account."""
    place, key = stage.facts["storage"], stage.facts["secrets"][f"{account}-storage-key"]
    return boto3.client(
        "s3", endpoint_url=place["endpoint"], region_name=place["region"], aws_access_key_id=key["key_id"],
        aws_secret_access_key=key["secret"], verify=stage.facts["ca"] or None,
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )  # fmt: skip


def test_every_prediction_is_kept_once(stage, gateway, key, heldout):
    begin = datetime.now(UTC).replace(microsecond=0) - CLOCKS
    answers = [gateway.post(PREDICT, headers=key, json={"inputs": [image]}).json() for image in heldout[0][:20]]
    wanted = {(answer["id"], answer["version"]) for answer in answers}
    assert len(wanted) == 20
    written = Kept(storage(stage, "release"), stage.facts["buckets"]["predictions"], since=begin)
    deadline = time.monotonic() + KEPT_WITHIN
    while not wanted <= set(kept := [(row["id"], row["version"]) for row in written.rows(deadline)]):
        if time.monotonic() > deadline:
            break
        time.sleep(2)
    assert sorted(row for row in kept if row in wanted) == sorted(wanted)


def test_the_container_s_account_can_read_models_and_nothing_else_of_them(stage):
    application, bucket = storage(stage, "app"), stage.facts["buckets"]["models"]
    there = application.list_objects_v2(Bucket=bucket, Prefix="models/")["Contents"][0]["Key"]
    assert application.get_object(Bucket=bucket, Key=there)["Body"].read()
    nobody_s = {
        "Bucket": bucket,
        "Key": f"verification/{uuid.uuid4()}",
    }  # a role that is too wide must not cost a model
    with pytest.raises(ClientError, match="AccessDenied"):
        application.delete_object(**nobody_s)
    try:
        application.put_object(**nobody_s, Body=b"forged")
    except ClientError as error:
        assert "AccessDenied" in str(error)  # noqa: PT017
    else:
        storage(stage, "release").delete_object(**nobody_s)
        pytest.fail("the container's account can write where the models are")


def test_no_key_and_a_wrong_key_are_refused(gateway, heldout):
    body = {"inputs": heldout[0][:1]}
    problem(gateway.post(PREDICT, json=body), 401)
    problem(gateway.post(PREDICT, headers={"X-API-Key": "k" * 64}, json=body), 401)


def test_a_bad_body_is_refused_with_what_is_expected(gateway, key):
    problem(gateway.post(PREDICT, headers=key, content=b"{not json"), 400)
    told = problem(gateway.post(PREDICT, headers=key, json={"inputs": [[1.0, 2.0]]}), 400)
    assert "64" in json.dumps(told)


def test_an_unknown_model_is_not_found(gateway, key):
    problem(gateway.post("/v1/predict/no-such-model", headers=key, json={"inputs": [[0.0] * 64]}), 404)


def test_a_model_says_what_it_takes(stage, gateway, key):
    described = gateway.get("/v2/models/digits", headers=key).json()
    assert described["versions"] == sorted(stage.facts["models"]["digits"]["versions"])
    assert described["inputs"][0]["shape"] == [-1, 64]


def test_what_is_not_in_the_contract_is_not_passed_on(gateway, key):
    assert gateway.get("/metrics", headers=key).status_code == 404


def test_nobody_calls_the_container_past_the_gateway(stage, key, heldout):
    assert stage.facts["urls"]
    for url in stage.facts["urls"]:
        with client(stage, url) as past:
            answer = past.post(PREDICT, headers=key, json={"inputs": heldout[0][:1]})
            assert answer.status_code in (401, 403) and "label" not in answer.text


def test_answers_that_meet_are_those_that_each_gets_alone(gateway, key, heldout):
    images = heldout[0][:20]
    together = labels(gateway.post(PREDICT, headers=key, json={"inputs": images}).json())
    alone = [labels(gateway.post(PREDICT, headers=key, json={"inputs": [image]}).json())[0] for image in images]
    assert together == alone


def test_every_name_has_a_certificate_that_holds(stage):
    entry = stage.facts["entry"]
    for name in (entry["hostname"], *stage.facts["names"]):
        days = days_left(name, entry["address"], stage.facts["ca"])
        assert days > RENEWED, f"{name}: its certificate ends in {days:.0f} days, and nobody has renewed it"
