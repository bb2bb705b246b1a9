"""Predictions as compressed Parquet objects, `dt=2027-01-31/hour=23/<id>.parquet`: a table to any Parquet reader."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from arro3.core import Array, DataType, Field, Schema, Table
from arro3.io import write_parquet

from inference_api.objects import Objects, ObjectsError
from inference_api.refreshed import one_line
from inference_api.settings import Settings
from inference_api.stores import Prediction, RefusedError

MICROSECONDS = 1_000_000
HOUR = 3600  # seconds
TEXT, COUNT, NUMBER = DataType.utf8(), DataType.int64(), DataType.float64()
SCHEMA = Schema(
    [
        Field("id", TEXT, nullable=False),
        Field("request_id", TEXT, nullable=False),
        Field("at", DataType.timestamp("us", tz="UTC"), nullable=False),
        Field("client", TEXT, nullable=False),
        Field("model", TEXT, nullable=False),
        Field("version", TEXT, nullable=False),
        Field("latency_ms", NUMBER, nullable=False),
        Field("rows", COUNT, nullable=False),
        Field("input_sha256", DataType.binary(32), nullable=False),
        Field("output", TEXT),
    ]
)


class ParquetStore:
    """See Store. An object is named after its first prediction, so a batch that is written again is the same object."""

    name = "object-storage"
    errors: tuple[type[Exception], ...] = (ObjectsError,)

    def __init__(self, settings: Settings) -> None:
        self.available = True  # there is nothing to ask before the first batch
        self._objects = Objects(settings.predictions_url, settings)

    async def write(self, batch: Sequence[Prediction]) -> None:
        """See Store."""
        try:
            files = await asyncio.to_thread(_files, batch)
        except MemoryError:
            raise
        except Exception as error:  # arro3's have no common base
            raise RefusedError(f"no Parquet can hold it: {one_line(error)}") from error
        try:
            for key, data in files:
                await self._objects.put(key, data)
        except BaseException:
            self.available = False
            raise
        self.available = True

    async def close(self) -> None:
        """See Store."""


def _files(batch: Sequence[Prediction]) -> list[tuple[str, bytes]]:
    """A key and its object for each hour in the batch."""
    hours = ((hour, list(group)) for hour, group in groupby(sorted(batch, key=_hour), _hour))
    return [(f"{_folder(hour)}/{group[0].id}.parquet", _parquet(group)) for hour, group in hours]


def _hour(prediction: Prediction) -> int:
    return int(prediction.at // HOUR)


def _folder(hour: int) -> str:
    return datetime.fromtimestamp(hour * HOUR, UTC).strftime("dt=%Y-%m-%d/hour=%H")


def _parquet(batch: Sequence[Prediction]) -> bytes:
    moments = Array([round(one.at * MICROSECONDS) for one in batch], COUNT)
    columns = [
        Array([one.id for one in batch], TEXT),
        Array([one.request_id for one in batch], TEXT),
        moments.cast(SCHEMA.field("at").type),
        Array([one.client for one in batch], TEXT),
        Array([one.model for one in batch], TEXT),
        Array([one.version for one in batch], TEXT),
        Array([one.latency_ms for one in batch], NUMBER),
        Array([one.rows for one in batch], COUNT),
        Array([one.digest for one in batch], SCHEMA.field("input_sha256").type),
        Array([one.output for one in batch], TEXT),
    ]
    table = Table.from_arrays(columns, schema=SCHEMA)
    stream = io.BytesIO()
    write_parquet(table, stream, compression="zstd(3)")
    return stream.getvalue()
