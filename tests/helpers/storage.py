"""A real S3 server over TLS on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from authority import Authority
from botocore.exceptions import BotoCoreError, ClientError

KEY, SECRET = "reader", "correct-horse"
BUCKET = "stage"


def free_port() -> int:
    """A port whose +10000 neighbour is free as well: SeaweedFS puts its gRPC there."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 10000))
            except (OSError, OverflowError):
                continue
            return port


class Storage:
    """The S3 server as an administrator sees it."""

    def __init__(self, endpoint: str, ca: Path) -> None:
        self.endpoint, self.ca = endpoint, ca
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="ru-central1",
            verify=str(ca),
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def overwrite(self, key: str, body: bytes) -> None:
        """Change an object behind the manifest's back."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


@contextmanager
def seaweed(folder: Path) -> Iterator[Storage]:
    """SeaweedFS with one key and one bucket."""
    authority = Authority(folder)
    pair = authority.issue("127.0.0.1")
    identity = {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {what: free_port() for what in ("master", "volume", "filer", "s3")}
    command = [
        str(Path(sys.executable).parent / "weed"),
        "-logtostderr=true",
        "server",
        "-ip=127.0.0.1",
        f"-dir={folder}",
        *(f"-{what}.port={port}" for what, port in ports.items()),
        "-volume.max=20",
        "-master.volumeSizeLimitMB=64",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",  # these two have fixed default ports
        "-s3.port.lance=0",
        f"-s3.config={folder}/s3.json",
        f"-s3.cert.file={pair.certificate}",
        f"-s3.key.file={pair.key}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    server = Storage(f"https://127.0.0.1:{ports['s3']}", authority.certificate)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                server.client.create_bucket(Bucket=BUCKET)
                break
            except (BotoCoreError, ClientError):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.3)
        yield server
    finally:
        process.kill()  # a graceful end takes half a minute, and the data are thrown away
        process.wait()
        for port in ports.values():  # its sockets have fixed names; those of gRPC are 10000 above
            for number in (port, port + 10000):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink()
