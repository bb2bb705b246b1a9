"""One watcher for all requests: a timer for each would cost more than the rest of the bookkeeping."""

from __future__ import annotations

import asyncio
import time
from typing import Any


class Deadlines:
    """Cancels the task of a request that has taken longer than `limit` seconds (late by at most a twentieth)."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._started: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()

    def enter(self, task: asyncio.Task[Any], started: float) -> None:
        """Watch the task from `started` (time.perf_counter)."""
        self._started[task] = started

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Stop watching; always called by the one who entered, after `expired`."""
        self._started.pop(task, None)
        self._expired.discard(task)

    def expired(self, task: asyncio.Task[Any]) -> bool:
        """Whether the cancellation that the task sees is ours; takes it back, so that the task may go on and answer."""
        if task not in self._expired:
            return False
        self._expired.discard(task)
        task.uncancel()
        return True

    async def run(self) -> None:
        """Look for late requests until cancelled."""
        while True:
            await asyncio.sleep(self.limit / 20)
            late = time.perf_counter() - self.limit
            for task in [task for task, started in self._started.items() if started < late]:
                del self._started[task]
                self._expired.add(task)
                task.cancel()
