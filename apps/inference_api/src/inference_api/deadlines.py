"""One watcher for all requests: a timer for each would cost more than the rest of the bookkeeping."""

from __future__ import annotations

import asyncio
import time
from typing import Any

Work = asyncio.Future[Any]  # which a task is too


class Deadlines:
    """Cancels what a request waits for, its task or a future, when it has taken longer than `limit` seconds (late by at most
    a twentieth)."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._started: dict[Work, float] = {}
        self._expired: set[Work] = set()

    def enter(self, work: Work, started: float) -> None:
        """Watch the work from `started` (time.perf_counter)."""
        self._started[work] = started

    def leave(self, work: Work) -> None:
        """Stop watching; always called by the one who entered, after `expired`."""
        self._started.pop(work, None)
        self._expired.discard(work)

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
            for work in [work for work, started in self._started.items() if started < late]:
                del self._started[work]
                self._expired.add(work)
                work.cancel()
