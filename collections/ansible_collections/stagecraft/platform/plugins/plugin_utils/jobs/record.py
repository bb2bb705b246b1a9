"""The record of what was applied, in the stage's bucket, by a client that lives as long as this process."""

from __future__ import annotations

import json
import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ...module_utils.declaration import Fail
from ...module_utils.errors import clock

LATEST = "records/latest.json"
NONE_YET = ("NoSuchBucket", "NoSuchKey")
SKEWED = "RequestTimeTooSkewed"
# Checksum trailers, which newer clients add by default, are refused by other servers than Amazon's.
SETTINGS = Config(
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    connect_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 4},
)

_lock = threading.Lock()
_clients: dict[str, Any] = {}


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """With `record`, write it as records/<its time>.json and then as the latest; without, read the latest.

    Raises Fail where it cannot be written. One that cannot be read is empty, with the reason."""
    answers.hide([request["secret_key"]])
    client, bucket = connected(request), request["bucket"]
    record = request.get("record")
    try:
        if record is None:
            return {"record": json.loads(client.get_object(Bucket=bucket, Key=LATEST)["Body"].read()), "why": ""}
        stamp = record["finished"].replace("-", "").replace(":", "")
        keys = [f"records/{stamp}.json", LATEST]  # a run that is cut off between them leaves an older one as the latest
        for key in keys:
            body = f"{json.dumps(record, indent=4)}\n".encode()
            client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
        return {"keys": keys}
    except (BotoCoreError, ClientError, ValueError) as error:
        if record is None:
            return {"record": {}, "why": "" if code(error) in NONE_YET else str(error)}
        look = "look at the bucket and at the roles of its key's service account"
        if code(error) == SKEWED:
            look = f"this machine's clock says {clock()}: set it right"
        raise Fail(
            f"what was applied cannot be recorded in bucket {bucket}: {error}. The stage is as it is declared; "
            f"{look}, then run the same again"
        ) from error


def code(error: Exception) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else ""


def connected(request: dict[str, Any]) -> Any:
    """A client for this place and this key."""
    place = {name: request[name] for name in ("endpoint_url", "region", "access_key", "secret_key")}
    name = json.dumps(place, sort_keys=True)
    with _lock:
        if name not in _clients:
            key = {"aws_access_key_id": place["access_key"], "aws_secret_access_key": place["secret_key"]}
            where = {"endpoint_url": place["endpoint_url"] or None, "region_name": place["region"]}
            _clients[name] = boto3.session.Session().client("s3", config=SETTINGS, **where, **key)
        return _clients[name]
