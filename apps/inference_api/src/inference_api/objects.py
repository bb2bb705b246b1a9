"""Objects below one address, `s3://bucket/prefix` or `file:///folder`, with errors that a person can act on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from inference_api.settings import ConfigError, Settings, is_loopback
from inference_api.stores import ClockError

# the client's errors carry the server's answer, or else a page of internals in which the cause has a fixed name
CODE = re.compile(r"<Code>(\w+)</Code>")
SKEWED = "RequestTimeTooSkewed"
ADVICE = {
    "NoSuchBucket": ": check the bucket's name",
    "AccessDenied": ": check that the key's service account may use this bucket",
    "InvalidAccessKeyId": ": check storage_key_id",
    "SignatureDoesNotMatch": ": check the secret key",
    SKEWED: ": this machine's clock says {now} UTC: set it right",
}
CAUSES = {
    "InvalidCertificate": "the endpoint's certificate is not trusted: check it and storage_ca or storage_ca_file",
    "dns error": "the endpoint's name is not known: check storage_endpoint",
    "kind: Connect": "the endpoint cannot be reached: check storage_endpoint and the network",
    "kind: Timeout": "the endpoint did not answer in time: check the network",
}
# a process that gets no time for a while may find its connections gone without a word
CONNECTION_IDLE = timedelta(seconds=5)


class ObjectsError(Exception):
    """What failed, where, why and what to do, in one line."""


class MissingObjectError(ObjectsError):
    """The bucket answered, and there is no such object."""


class WrongClockError(ObjectsError, ClockError):
    """The bucket answered that the request was signed at another time than its own."""


class TooLargeError(ObjectsError):
    """The object is larger than it should be; it was not read."""


class Objects:
    """Reads and writes whole objects; a reader sees a new one whole or not at all."""

    def __init__(self, url: str, settings: Settings) -> None:
        """Asks nobody yet; ConfigError where the settings do not say whom."""
        self._url = url.rstrip("/")
        try:
            self._store = _store(self._url, settings)
        except (BaseError, OSError, ValueError) as error:
            raise ConfigError(f"{url}: {_reason(str(error))}") from error

    def url(self, key: str) -> str:
        """Where the object is, for people."""
        return f"{self._url}/{key}"

    async def get(self, key: str, limit: int) -> bytes:
        """The object's bytes; ObjectsError, MissingObjectError, and TooLargeError when it has more than `limit` of them."""
        with self._errors(key):
            found = await obstore.get_async(self._store, key)
            if found.meta["size"] > limit:
                raise TooLargeError(f"{self.url(key)} has {found.meta['size']} bytes, at most {limit} are expected")
            return bytes(await found.bytes_async())

    async def put(self, key: str, data: bytes) -> None:
        """Write the object in one request, over what was there; ObjectsError."""
        with self._errors(key):
            await obstore.put_async(self._store, key, data, use_multipart=False)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            reason = _reason(str(error))
            kind = ObjectsError
            if reason.startswith(SKEWED):
                kind = WrongClockError
            elif isinstance(error, FileNotFoundError) and not reason.startswith("NoSuchBucket"):
                kind = MissingObjectError
            raise kind(f"{self.url(key)}: {reason}") from error


def _reason(text: str) -> str:
    if code := CODE.search(text):
        return code[1] + ADVICE.get(code[1], "").format(now=time.strftime("%Y-%m-%d %H:%M", time.gmtime()))
    known = (words for name, words in CAUSES.items() if name in text)
    return next(known, text.splitlines()[0].rpartition(" - ")[2])


def _store(url: str, settings: Settings) -> Any:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStore(parts.path)
    limit, endpoint = timedelta(seconds=settings.storage_timeout_seconds), urlsplit(settings.storage_endpoint)
    given: dict[str, Any] = {"prefix": parts.path.strip("/"), "endpoint": settings.storage_endpoint}
    return S3Store(
        parts.netloc,
        region=settings.storage_region,
        access_key_id=settings.storage_key_id,
        secret_access_key=settings.storage_secret(),
        client_options={
            "root_certificate": settings.storage_certificates(),
            "allow_http": endpoint.scheme == "http" and is_loopback(endpoint.hostname or ""),
            "connect_timeout": limit,
            "timeout": limit,
            "pool_idle_timeout": CONNECTION_IDLE,
        },
        retry_config={"max_retries": 2, "retry_timeout": limit},
        **{name: value for name, value in given.items() if value},
    )
