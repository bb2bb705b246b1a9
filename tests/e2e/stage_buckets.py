"""The buckets of a stage of containers, as its releases see them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import boto3
from commands import ROOT, inside
from sdk_calls import Caller

from rehearsal import environment
from rehearsal.world import shell
from stagecraft.predictions import Kept


def storage(stage: str) -> tuple[Any, dict[str, str]]:
    """The stage's buckets to boto3, for the account of releases, and the key of that account."""
    there, variables = environment.netns(stage), environment.environment(stage)
    with Caller(there, variables) as call:
        listed = call("lockbox.v1.SecretService.List", folder_id=call.folder)["secrets"]
        secret = next(item["id"] for item in listed if item["name"] == "release-storage-key")
        entries = call("lockbox.v1.PayloadService.Get", secret_id=secret)["entries"]
    key = {entry["key"]: entry["text_value"] for entry in entries}
    client = boto3.client(
        "s3", endpoint_url=variables["YC_STORAGE_ENDPOINT"], region_name="ru-central1",
        verify=variables["YC_ROOT_CERTIFICATES"],
        aws_access_key_id=key["key_id"], aws_secret_access_key=key["secret"],
    )  # fmt: skip
    return client, key


def kept(stage: str) -> list[dict[str, Any]]:
    """Every prediction in the stage's bucket for them."""
    client, _ = storage(stage)
    with shell.entered(environment.netns(stage).name):
        return Kept(client, f"{stage}-predictions-{environment.environment(stage)['YC_FOLDER_ID']}").rows()


def publish(stage: str, number: str, folder: Path) -> None:
    """Give what is version 1 of the model another number, too, by the command that playbooks publish with."""
    client, key = storage(stage)
    variables = environment.environment(stage)
    bucket = f"{stage}-{variables['YC_FOLDER_ID']}"
    model = folder / "digits" / number / "model.onnx"
    model.parent.mkdir(parents=True)
    with shell.entered(environment.netns(stage).name):
        model.write_bytes(client.get_object(Bucket=bucket, Key="models/digits/1/model.onnx")["Body"].read())
    entry = {"sha256": hashlib.sha256(model.read_bytes()).hexdigest(), "size": model.stat().st_size}
    versions = {number: {"files": {model.name: entry}}}
    (folder / "manifest.json").write_text(json.dumps({"models": {"digits": {"versions": versions}}}))
    told = (f"PYTHONPATH={ROOT}/apps/model_sync", f"AWS_ENDPOINT_URL_S3={variables['YC_STORAGE_ENDPOINT']}")
    command = (sys.executable, "-m", "model_sync", "publish", str(folder), f"s3://{bucket}/models", "--key-from-stdin")
    done = inside(stage, "env", *told, *command, input=json.dumps(key))
    assert done.returncode == 0 and json.loads(done.stdout)["added"] == {"digits": [number]}, done.stderr
