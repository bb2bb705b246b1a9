"""A value that lives elsewhere: read again in the background, still served while its source is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sized
from typing import Generic, TypeVar

logger = logging.getLogger("inference_api")
Value = TypeVar("Value", bound=Sized)

RETRY_SECONDS = 1.0


class Refreshed(Generic[Value]):
    """The last good value. `load` raises one of `errors` while the source is away; anything else is logged as a fault."""

    def __init__(
        self,
        name: str,
        load: Callable[[], Awaitable[Value]],
        empty: Value,
        seconds: float,
        errors: tuple[type[Exception], ...],
        *,
        without: str,
        on_request: bool = False,
    ) -> None:
        """`without`: what it means that nothing is known, for the log. `on_request`: once read, it is read again only by
        whoever asks; see `catch_up`."""
        self.value = empty
        self.loaded = False  # whether the source ever answered
        self.available = False  # whether it answered the last time
        self.error: Exception | None = None  # what it answered the last time, if not the value
        self._name, self._load, self._seconds, self._errors = name, load, seconds, errors
        self._pause = seconds  # until it is read again
        self._without, self._on_request = without, on_request
        self._lock = asyncio.Lock()
        self._tried = float("-inf")
        self._held = False  # whether somebody waits in `catch_up`
        self._nobody_until = float("-inf")  # time.monotonic: somebody has waited in vain, so nobody does before
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Refresh until cancelled, or until others see to it; faster while the source is away, and each time less so."""
        while not (self._on_request and self.loaded):
            await self.refresh()
            await asyncio.sleep(self._pause)

    @property
    def behind(self) -> bool:
        """Whether who asks now would wait in `catch_up`."""
        if not self._on_request or self._held or time.monotonic() < self._nobody_until:
            return False
        return self._lock.locked() or time.monotonic() - self._tried >= self._pause

    async def catch_up(self, limit: float) -> None:
        """With `on_request`: wait for a refresh that is due or under way, at most `limit` seconds; it goes on after that.

        Who waits keeps the process running meanwhile, so one is enough: the others go on with what is known, and when it was
        in vain, all do for as long as a value is good. No longer: where few ask, nothing else lets a slow one end."""
        if not self.behind:
            return
        self._held = True
        try:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self.refresh(older_than=self._pause))
            _, unfinished = await asyncio.wait((self._reading,), timeout=limit)
            if unfinished:
                self._nobody_until = time.monotonic() + self._seconds
        finally:
            self._held = False

    async def stop(self) -> None:
        """End a refresh that nobody waits for."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    async def refresh(self, older_than: float = 0.0) -> None:
        """Read the value again unless that was tried less than `older_than` seconds ago; never raises."""
        async with self._lock:
            if time.monotonic() - self._tried < older_than:
                return
            self._tried = time.monotonic()
            try:
                self.value = await self._load()
            except Exception as error:  # whatever it was, requests are answered from what is known
                self._complain(error)
                self._pause = min(2 * self._pause if self.error else RETRY_SECONDS, self._seconds)
                self.available, self.error = False, error
                return
            if not self.available:
                logger.info("%s: read, %d known", self._name, len(self.value))
            self.loaded, self.available, self.error = True, True, None
            self._pause, self._nobody_until = self._seconds, float("-inf")

    def _complain(self, error: Exception) -> None:
        """Say once what is wrong; while nothing is known, each time that it is something else."""
        same = one_line(error) == one_line(self.error) if self.error else False
        if type(error) is type(self.error) and (self.loaded or same):
            return
        level, fate = (logging.WARNING, "the last known are used") if self.loaded else (logging.ERROR, self._without)
        fault = None if isinstance(error, self._errors) else error
        logger.log(level, "%s: cannot be read, %s: %s", self._name, fate, one_line(error), exc_info=fault)


def one_line(error: BaseException) -> str:
    """An exception's text without line breaks, so that a log entry is one line."""
    return " ".join(str(error).split()) or type(error).__name__
