"""Runs on the controller, in the network of a container: inside.py CONTAINER FOLDER publishes, or imported by the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).parents[2]
BUCKET = "stage"
ENDPOINT = "https://localhost:9443"


def authority() -> Path:
    return Path(os.environ["STAGECRAFT_MOLECULE_STATE"]) / "tls" / "ca.pem"


@contextmanager
def network_of(container: str) -> Iterator[None]:
    """This thread's new connections leave from the container."""
    show = ["podman", "inspect", "--format", "{{.State.Pid}}", container]
    pid = subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()
    with Path("/proc/thread-self/ns/net").open() as own, Path(f"/proc/{pid}/ns/net").open() as other:
        os.setns(other.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(own.fileno(), os.CLONE_NEWNET)


def bucket() -> object:
    """The bucket's administrator."""
    return boto3.Session("release", "release-secret").client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="ru-central1",
        verify=str(authority()),
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, connect_timeout=5),
    )


def publish(folder: str) -> subprocess.CompletedProcess[str]:
    """`model-sync publish` as the playbook runs it."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "apps" / "model_sync"),
        "AWS_ACCESS_KEY_ID": "release",
        "AWS_SECRET_ACCESS_KEY": "release-secret",
        "AWS_ENDPOINT_URL_S3": ENDPOINT,
        "AWS_CA_BUNDLE": str(authority()),
    }
    command = [sys.executable, "-m", "model_sync", "publish", folder, f"s3://{BUCKET}/models"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def main(container: str, folder: str) -> int:
    with network_of(container):
        client = bucket()
        deadline = time.monotonic() + 60
        while True:
            try:
                client.create_bucket(Bucket=BUCKET)
                break
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        done = publish(folder)
    print(done.stdout, done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
