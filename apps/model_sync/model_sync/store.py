"""The bucket: reading and writing objects under one prefix, with errors that a person can act on."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, SSLError
from botocore.exceptions import ConnectionError as BotoConnectionError

from model_sync.errors import SyncError
from model_sync.manifest import MANIFEST, File, Models, Version, dump, parse

REGION = "ru-central1"
_CHUNK = 1 << 20  # bytes
_ADVICE = {
    "NoSuchBucket": "Check the bucket's name.",
    "AccessDenied": "Check that the key's service account may use this bucket.",
    "InvalidAccessKeyId": "Check the access key.",
    "SignatureDoesNotMatch": "Check the secret key.",
    "RequestTimeTooSkewed": "This machine's clock says {now}: set it right.",
}
# Newer boto3 adds checksum trailers that other S3 servers refuse; older boto3 does not know the setting and ignores it.
os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")


@dataclass(frozen=True)
class Address:
    """Where the models are. `endpoint` None is AWS's own; `ca_bundle` None is what the client trusts."""

    bucket: str
    prefix: str
    endpoint: str | None = None
    region: str = REGION
    ca_bundle: str | None = None


class Store:
    """Objects under one prefix of one bucket. Credentials come from the environment or a shared credentials file."""

    def __init__(self, address: Address) -> None:
        self._address = address
        settings = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
        )
        try:
            self._client: Any = boto3.Session().client(
                "s3",
                endpoint_url=address.endpoint,
                region_name=address.region,
                verify=address.ca_bundle,
                config=settings,
            )
        except (BotoCoreError, ValueError) as error:
            raise SyncError(f"S3 endpoint {address.endpoint}: {error}") from error

    def url(self, key: str = "") -> str:
        """`key` below the prefix as people write it."""
        return f"s3://{self._address.bucket}/{self._key(key)}"

    def manifest(self) -> Models | None:
        """What is published, or None where nothing is yet."""
        with self._errors(MANIFEST):
            try:
                body = self._client.get_object(Bucket=self._address.bucket, Key=self._key(MANIFEST))["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None
        return parse(body, self.url(MANIFEST))

    def put_manifest(self, models: Models) -> None:
        """Replace the manifest: from now on readers see these models."""
        body = dump(models).encode()
        with self._errors(MANIFEST):
            self._client.put_object(
                Bucket=self._address.bucket,
                Key=self._key(MANIFEST),
                Body=body,
                ContentMD5=base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
                ContentType="application/json",
            )

    def put(self, key: str, source: Path) -> None:
        """Upload one file; the server refuses it if the bytes that arrive have another MD5."""
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).digest()
            stream.seek(0)
            with self._errors(key):
                self._client.put_object(
                    Bucket=self._address.bucket,
                    Key=self._key(key),
                    Body=stream,
                    ContentMD5=base64.b64encode(digest).decode(),
                )

    def download(self, key: str, expected: File, target: Path) -> None:
        """Write one object to `target`; SyncError when it is missing, too short, too long or has another checksum."""
        digest, size = hashlib.sha256(), 0
        with self._errors(key), target.open("xb") as out:
            body = self._client.get_object(Bucket=self._address.bucket, Key=self._key(key))["Body"]
            for chunk in body.iter_chunks(_CHUNK):
                size += len(chunk)
                if size > expected.size:
                    break
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        if size != expected.size:
            found = f"more than {expected.size}" if size > expected.size else str(size)
            raise SyncError(f"{self.url(key)} has {found} bytes, the manifest says {expected.size}. {_REPUBLISH}")
        if digest.hexdigest() != expected.sha256:
            raise SyncError(
                f"{self.url(key)} has SHA-256 {digest.hexdigest()}, the manifest says {expected.sha256}. {_REPUBLISH}"
            )

    def download_version(self, model: str, number: str, version: Version, folder: Path) -> None:
        """Every file of a version into `folder`, which is made."""
        folder.mkdir(parents=True)
        for name, expected in version.files.items():
            self.download(f"{model}/{number}/{name}", expected, folder / name)

    def empty(self, *, check: bool) -> int:
        """Delete every object below the prefix with all its versions; how many of them there were.

        One by one: the call that deletes many wants a checksum that S3 servers do not agree on."""
        with self._errors(""):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._address.bucket, Prefix=self._address.prefix
            )
            found = [item for page in pages for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, ())]
            for item in () if check else found:
                self._client.delete_object(Bucket=self._address.bucket, Key=item["Key"], VersionId=item["VersionId"])
        return len(found)

    def _key(self, key: str) -> str:
        return "/".join(part for part in (self._address.prefix.strip("/"), key) if part)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """boto3's errors as SyncError, with the object, the server's code and what to do."""
        where = self.url(key)
        endpoint = self._address.endpoint or "AWS"
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "?")
            if code in ("NoSuchKey", "404"):
                raise SyncError(f"{where} does not exist, though the manifest names it. {_REPUBLISH}") from error
            message = error.response.get("Error", {}).get("Message", "").rstrip(".")
            advice = _ADVICE.get(code, "").format(now=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
            raise SyncError(f"{where} at {endpoint}: {code} {message}. {advice}".strip()) from error
        except NoCredentialsError as error:
            raise SyncError(f"{where}: no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.") from error
        except SSLError as error:
            raise SyncError(
                f"{where} at {endpoint}: {error}. Check the endpoint's certificate and the CA bundle."
            ) from error
        except BotoConnectionError as error:
            raise SyncError(f"{where} at {endpoint}: {error}. Check the endpoint and the network.") from error
        except BotoCoreError as error:
            raise SyncError(f"{where} at {endpoint}: {error}") from error


_REPUBLISH = "The object was changed or lost after it was published: restore it, or publish the model as a new version."
