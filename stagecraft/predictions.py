"""The predictions that a stage keeps as Parquet objects, as any reader of Parquet sees them."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet

PLACE = re.compile(r"dt=(\d{4}-\d\d-\d\d)/hour=(\d\d)/[\w.-]+\.parquet")
HOUR = "dt=%Y-%m-%d/hour=%H/"


class MisplacedError(Exception):
    """An object, or a row in it, lies where its name or its time does not say; the message names it."""


class Kept:
    """The predictions below a folder of a bucket, those in objects that were written since a moment where one is given.
    Each object is read once. `client` is boto3's of the bucket."""

    def __init__(self, client: Any, bucket: str, folder: str = "", since: datetime | None = None) -> None:
        self._client, self._bucket, self._since = client, bucket, since
        self._folder = f"{folder.strip('/')}/" if folder else ""
        self._read = set[str]()
        self._rows: list[dict[str, Any]] = []

    def rows(self, deadline: float = float("inf")) -> list[dict[str, Any]]:
        """All rows so far, or those that could be read before the deadline (time.monotonic). Raises MisplacedError, and what
        boto3 and pyarrow raise."""
        for key in self._fresh():
            if time.monotonic() > deadline:
                break
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            rows = pyarrow.parquet.read_table(io.BytesIO(body)).to_pylist()
            _check(key.removeprefix(self._folder), rows)
            self._read.add(key)
            self._rows += rows
        return self._rows

    def _fresh(self) -> Iterator[str]:
        """The keys of objects that were not read yet."""
        pages = self._client.get_paginator("list_objects_v2")
        for prefix in self._prefixes():
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for item in page.get("Contents", ()):
                    if item["Key"] not in self._read and (self._since is None or item["LastModified"] >= self._since):
                        yield item["Key"]

    def _prefixes(self) -> list[str]:
        """Where to look: everywhere, or in the folders of the hours since then, so that a year of others is not listed."""
        if self._since is None:
            return [self._folder]
        hours = int((datetime.now(UTC) - self._since) / timedelta(hours=1)) + 2  # the one that has begun meanwhile, too
        return [self._folder + (self._since + timedelta(hours=n)).strftime(HOUR) for n in range(hours)]


def _check(place: str, rows: list[dict[str, Any]]) -> None:
    found = PLACE.fullmatch(place)
    if found is None:
        raise MisplacedError(f"{place} is no object of predictions: dt=YYYY-MM-DD/hour=HH/NAME.parquet")
    for row in rows:
        if not row["at"].strftime(HOUR) == f"dt={found[1]}/hour={found[2]}/":
            raise MisplacedError(f"{place}: the prediction {row['id']} of {row['at']} lies in another hour")
