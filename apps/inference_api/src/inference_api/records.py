"""The record of every prediction: to PostgreSQL in batches, off the request path, through the spool while it is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg

from inference_api import database, slots
from inference_api.database import Database
from inference_api.metrics import Metrics
from inference_api.refreshed import one_line
from inference_api.settings import Settings
from inference_api.slots import Slot
from inference_api.spool import Spool

logger = logging.getLogger("inference_api")

IN_MEMORY = 100_000  # more than comes in while one statement times out, at any rate a worker can serve
RETRY_SECONDS = 1.0

# the id makes writing again harmless: what a crash or a lost answer left in doubt is sent a second time
INSERT = """
INSERT INTO inference_api.predictions
    (id, request_id, at, client, model, version, latency_ms, rows, input_sha256, output)
SELECT id, request_id, to_timestamp(at), client, model, version, latency_ms, rows, decode(digest, 'base64'), output::jsonb
FROM json_to_recordset(%s::json)
    AS record (id uuid, request_id text, at float8, client text, model text, version text, latency_ms float8, rows int,
               digest text, output text)
ON CONFLICT (id) DO NOTHING
"""


class Prediction(msgspec.Struct, array_like=True, frozen=True):
    """One answered request; `at` in seconds since the epoch, `output` as JSON text."""

    id: str
    request_id: str
    at: float
    client: str
    model: str
    version: str
    latency_ms: float
    rows: int
    digest: bytes
    output: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Prediction).decode


class Recorder:
    """Takes predictions without waiting and sees that they arrive."""

    def __init__(self, settings: Settings, target: Database, slot: Slot, metrics: Metrics) -> None:
        self._settings, self._target, self._slot = settings, target, slot
        self._waiting: list[Prediction] = []
        self._wake = asyncio.Event()
        self._away_until = 0.0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._spool = Spool(slot.folder, settings.spool_limit_bytes)
        self._written = metrics.cell("inference_api_records_written_total")
        self._spooled = metrics.cell("inference_api_records_spooled_total")
        self._lost = {
            reason: metrics.cell("inference_api_records_lost_total", reason=reason)
            for reason in ("spool_full", "memory_full", "refused")
        }
        self._in_memory = metrics.cell("inference_api_records_waiting")
        self._spool_bytes = metrics.cell("inference_api_spool_bytes")
        self._spool_bytes.set(self._spool.size)

    def add(self, prediction: Prediction) -> None:
        """Take one; it is counted as lost only when memory and time ran out together."""
        if len(self._waiting) >= IN_MEMORY:
            self._lost["memory_full"].add()
            return
        self._waiting.append(prediction)
        if len(self._waiting) >= self._settings.records_batch:
            self._wake.set()

    def start(self) -> None:
        """Write batches in the background from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while not self._stopping:
            try:
                async with asyncio.timeout(self._settings.records_flush_seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass
            try:
                await self.flush()
            except Exception:  # the loop must outlive a fault of ours; what waits is tried again
                logger.exception("predictions: a batch could not be written")
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Bring everything that waits to PostgreSQL, or else to the spool; then what the spool holds."""
        self._wake.clear()
        while self._waiting:
            batch = self._waiting[: self._settings.records_batch]
            if time.monotonic() < self._away_until or not await self._insert(batch):
                await self._keep(batch)
            del self._waiting[: len(batch)]  # not before: if something fails they are still there
            self._in_memory.set(len(self._waiting))
        if time.monotonic() >= self._away_until:
            await self._replay(self._spool)
            self._spool_bytes.set(self._spool.size)
            await self._adopt()

    async def _insert(self, batch: Sequence[Prediction]) -> bool:
        """Whether the batch is PostgreSQL's now; what it refuses for good is counted and dropped."""
        try:
            await self._write(batch)
        except psycopg.DataError as error:
            if len(batch) == 1:
                logger.error("prediction %s: PostgreSQL refuses the record: %s", batch[0].id, one_line(error))
                self._lost["refused"].add()
                return True
            results = [await self._insert([prediction]) for prediction in batch]
            return all(results)
        except database.ERRORS as error:
            if not self._away_until:
                logger.warning("predictions: PostgreSQL does not take them, they go to the spool: %s", one_line(error))
            self._away_until = time.monotonic() + RETRY_SECONDS
            return False
        if self._away_until:
            logger.info("predictions: PostgreSQL takes them again")
        self._away_until = 0.0
        return True

    async def _write(self, batch: Sequence[Prediction]) -> None:
        # one JSON text: a parameter for each column costs the driver five times as much
        document = msgspec.json.encode([msgspec.structs.asdict(prediction) for prediction in batch]).decode()
        await self._target.execute(INSERT, (document,))
        self._written.add(len(batch))

    async def _keep(self, batch: Sequence[Prediction]) -> None:
        kept = await asyncio.to_thread(self._spool.append, [_encode(prediction) for prediction in batch])
        self._spooled.add(kept)
        self._lost["spool_full"].add(len(batch) - kept)
        self._spool_bytes.set(self._spool.size)

    async def _replay(self, spool: Spool) -> None:
        while spool.size:
            records, end = spool.peek(self._settings.records_batch)
            if not await self._insert([_decode(record) for record in records]):
                return
            spool.confirm(end)
            if self._waiting:  # new predictions first: the spool is safe, memory is not
                return

    async def _adopt(self) -> None:
        """Empty what workers that are no more have left, as after a restart with fewer workers."""
        for folder in slots.folders(self._settings.state_directory):
            if not _left_behind(folder):
                continue
            slot = slots.try_claim(folder)
            if slot is None:
                continue
            spool = Spool(folder, self._settings.spool_limit_bytes)
            try:
                await self._replay(spool)
            finally:
                spool.close()
                slot.close()

    async def stop(self) -> None:
        """Nothing in memory is lost: what PostgreSQL does not take now is in the spool when this returns."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task  # never cancelled: a thread may be writing to the spool
        await self.flush()
        self._spool.close()


def _left_behind(folder: Path) -> bool:
    try:
        return (folder / "spool-1").stat().st_size > 0 and not slots.owner_lives(folder)
    except OSError:
        return False
