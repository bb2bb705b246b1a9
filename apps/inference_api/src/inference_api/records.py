"""The record of every prediction: to its store in batches, off the request path, through the spool while it is away; or,
where records are durable, before its answer goes out, which the store's failure then takes along."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from inference_api import slots, spool
from inference_api.metrics import Metrics
from inference_api.refreshed import one_line
from inference_api.settings import Settings
from inference_api.slots import Slot
from inference_api.spool import Spool
from inference_api.stores import Prediction, RefusedError, Store

logger = logging.getLogger("inference_api")

IN_MEMORY = 100_000  # more than comes in while one statement times out, at any rate a worker can serve
RETRY_SECONDS = 1.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Prediction]).decode

Stored = asyncio.Future[bool]  # whether the store has taken a prediction; RefusedError where it never will


class Recorder:
    """Takes predictions and sees that they arrive."""

    def __init__(self, settings: Settings, target: Store, slot: Slot, metrics: Metrics) -> None:
        self._settings, self._target, self._slot = settings, target, slot
        self._durable = settings.records_durable
        self._waiting: list[Prediction] = []
        self._owed: dict[str, Stored] = {}  # by prediction: what its answer waits for
        self._wake = asyncio.Event()
        self.error: Exception | None = None  # of the store, while it is away
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

    def add(self, prediction: Prediction) -> Stored | None:
        """Take one. Where records are durable, its answer has to wait for what is returned. Else it is counted as lost only
        when memory and time ran out together."""
        if self._durable:
            self._waiting.append(prediction)
            self._wake.set()  # whoever comes before the writer's turn shares the batch, later ones the next
            self._owed[prediction.id] = stored = asyncio.get_running_loop().create_future()
            return stored
        if len(self._waiting) >= IN_MEMORY:
            self._lost["memory_full"].add()
            return None
        self._waiting.append(prediction)
        if len(self._waiting) >= self._settings.records_batch:
            self._wake.set()
        return None

    def start(self) -> None:
        """Write batches in the background from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while not self._stopping:
            try:
                async with asyncio.timeout(self._settings.records_flush_seconds):
                    await self._wake.wait()
                whole = self._durable or self._stopping
            except TimeoutError:
                whole = True
            try:
                await self.flush(whole)
            except Exception:  # the loop must outlive a fault of ours; what waits is tried again
                logger.exception("predictions: a batch could not be written")
                await asyncio.sleep(RETRY_SECONDS)

    async def flush(self, whole: bool = True) -> None:
        """Bring what waits to the store, or else to the spool, then what the spool holds; `whole`: less than a batch, too.

        What comes meanwhile is for the next time, unless an answer waits for it: while many ask, there would always be a few
        more, each few an object."""
        self._wake.clear()
        left = self._awaited()
        while left >= (1 if whole else self._settings.records_batch):
            batch = self._waiting[: min(left, self._settings.records_batch)]
            await self._keep(await self._insert(batch))
            del self._waiting[: len(batch)]  # not before: if something fails they are still there
            self._in_memory.set(len(self._waiting))
            left = self._awaited() if self._durable else left - len(batch)
        if time.monotonic() >= self._away_until:
            await self._replay(self._spool)
            self._spool_bytes.set(self._spool.size)
            await self._adopt()

    def _awaited(self) -> int:
        """How many wait; predictions whose requests ran out of time are nobody's any more."""
        if self._durable:
            self._waiting = [one for one in self._waiting if not self._owed[one.id].done()]
            self._owed = {one.id: self._owed[one.id] for one in self._waiting}
        return len(self._waiting)

    def _settle(self, batch: Sequence[Prediction], stored: bool | RefusedError) -> None:
        """Tell the answers that wait for these."""
        for one in batch:
            owed = self._owed.get(one.id)
            if owed is None or owed.done():
                continue
            if isinstance(stored, bool):
                owed.set_result(stored)
            else:
                owed.set_exception(stored)

    async def _insert(self, batch: Sequence[Prediction]) -> Sequence[Prediction]:
        """What of the batch is still to be written: nothing, or the rest while the store is away. What that refuses for good
        is set aside."""
        if time.monotonic() < self._away_until:
            return batch
        try:
            await self._target.write(batch)
        except RefusedError as error:
            if len(batch) > 1:
                return [one for half in _halves(batch) for one in await self._insert(half)]
            self._set_aside(batch[0], self._target.name, error)
            return ()
        except self._target.errors as error:
            if type(error) is not type(self.error):
                fate = "are refused" if self._durable else "go to the spool"
                message = "predictions: %s does not take them, they %s: %s"
                logger.warning(message, self._target.name, fate, one_line(error))
            self.error = error
            self._away_until = time.monotonic() + RETRY_SECONDS
            return batch
        if self.error:
            logger.info("predictions: %s takes them again", self._target.name)
        self.error, self._away_until = None, 0.0
        self._written.add(len(batch))
        self._settle(batch, stored=True)
        return ()

    def _set_aside(self, one: Prediction, where: str, error: Exception) -> None:
        """Give up a record that cannot be kept; the others do not wait for it."""
        message = "prediction %s (request %s of %r): %s refuses its record, it is not kept: %s"
        logger.error(message, one.id, one.request_id, one.client, where, one_line(error))
        self._lost["refused"].add()
        self._settle([one], RefusedError(str(error)))

    async def _keep(self, batch: Sequence[Prediction]) -> None:
        """Put what the store did not take into the spool."""
        if self._durable or not batch:
            self._settle(batch, stored=False)
            return
        try:
            entry = _encode(batch)
        except ValueError as error:
            if len(batch) > 1:
                for half in _halves(batch):
                    await self._keep(half)
            else:
                self._set_aside(batch[0], "the spool", error)
            return
        # one entry a batch: it is written again as it was, and whatever was written already is recognized
        kept = await asyncio.to_thread(self._spool.append, [entry])
        self._spooled.add(len(batch) if kept else 0)
        self._lost["spool_full"].add(0 if kept else len(batch))
        self._spool_bytes.set(self._spool.size)

    async def _replay(self, kept: Spool) -> None:
        while kept.size:
            entries, end = kept.peek(1)
            if await self._insert(_decode(entries[0])):
                return
            kept.confirm(end)
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
            left = Spool(folder, self._settings.spool_limit_bytes)
            try:
                await self._replay(left)
            finally:
                left.close()
                slot.close()

    async def stop(self) -> None:
        """Nothing in memory is lost: what the store does not take now is in the spool when this returns."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task  # never cancelled: a thread may be writing to the spool
        await self.flush()
        self._spool.close()


def _halves(batch: Sequence[Prediction]) -> tuple[Sequence[Prediction], Sequence[Prediction]]:
    """One among thousands is found by a few writes."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def _left_behind(folder: Path) -> bool:
    try:
        return (folder / spool.FILE_NAME).stat().st_size > 0 and not slots.owner_lives(folder)
    except OSError:
        return False
