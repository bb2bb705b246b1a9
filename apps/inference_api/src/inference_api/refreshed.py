"""A value that lives elsewhere: read again in the background, still served while its source is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

logger = logging.getLogger("inference_api")
Value = TypeVar("Value")

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
    ) -> None:
        self.value = empty
        self.loaded = False  # whether the source ever answered
        self.available = False  # whether it answered the last time
        self._name, self._load, self._seconds, self._errors = name, load, seconds, errors
        self._lock = asyncio.Lock()
        self._tried = float("-inf")

    async def run(self) -> None:
        """Refresh until cancelled; faster while the source is away."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._seconds if self.available else min(RETRY_SECONDS, self._seconds))

    async def refresh(self, older_than: float = 0.0) -> None:
        """Read the value again unless that was tried less than `older_than` seconds ago; never raises."""
        async with self._lock:
            if time.monotonic() - self._tried < older_than:
                return
            self._tried = time.monotonic()
            try:
                self.value = await self._load()
            except Exception as error:  # whatever it was, requests are answered from what is known
                if self.available or not self.loaded:
                    fault = None if isinstance(error, self._errors) else error
                    message = "%s: cannot be read, the last known are used: %s"
                    logger.warning(message, self._name, one_line(error), exc_info=fault)
                self.available = False
                return
            if not self.available:
                logger.info("%s: read", self._name)
            self.loaded = self.available = True


def one_line(error: BaseException) -> str:
    """An exception's text without line breaks, so that a log entry is one line."""
    return " ".join(str(error).split()) or type(error).__name__
