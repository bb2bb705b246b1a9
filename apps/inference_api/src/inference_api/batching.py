"""Merging without waiting: what arrives while calls to the engine are under way becomes the next call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from inference_api.models import Model, Result, Tensors
from inference_api.problems import Problem

Send = Callable[[Model, str, Sequence[Tensors]], Coroutine[Any, Any, Result]]
OnCall = Callable[[int], None]


class _Waiting:
    __slots__ = ("answer", "model", "tensors")

    def __init__(self, model: Model, tensors: Tensors, answer: asyncio.Future[Result]) -> None:
        self.model, self.tensors, self.answer = model, tensors, answer


class Batcher:
    """The queue of one model and version. At most `calls` calls are in flight; each takes all that fits in `rows`."""

    def __init__(self, send: Send, version: str, rows: int, calls: int, on_call: OnCall) -> None:
        self._send, self._version, self._rows, self._calls, self._on_call = send, version, rows, calls, on_call
        self._queue: deque[_Waiting] = deque()
        self._in_flight = 0
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._queue)

    def infer(self, model: Model, tensors: Tensors) -> asyncio.Future[Result]:
        """Queue a request; the future brings its own rows, or a Problem."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Waiting(model, tensors, answer))
        if self._in_flight < self._calls and not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._start)  # at the end of this turn of the loop: all that arrived in it goes together
        return answer

    def _start(self) -> None:
        self._scheduled = False
        while self._queue and self._in_flight < self._calls:
            batch = self._take()
            if not batch:
                return
            self._in_flight += 1
            task = asyncio.get_running_loop().create_task(self._call(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[_Waiting]:
        """The next requests that may travel together; those that nobody waits for any more are dropped."""
        while self._queue and self._queue[0].answer.done():
            self._queue.popleft()
        if not self._queue:
            return []
        first = self._queue.popleft()
        batch, rows = [first], first.tensors.rows
        shapes, limit = first.tensors.shapes_without_rows, min(self._rows, first.model.rows_limit)
        while self._queue:
            item = self._queue[0]
            if not item.answer.done():
                if (
                    item.model is not first.model
                    or not first.model.batches
                    or item.tensors.shapes_without_rows != shapes
                    or rows + item.tensors.rows > limit
                ):
                    break
                batch.append(item)
                rows += item.tensors.rows
            self._queue.popleft()
        return batch

    async def _call(self, batch: list[_Waiting]) -> None:
        try:
            try:
                await self._answer(batch)
            except Problem as problem:
                if len(batch) == 1 or problem.status in (503, 504):
                    raise
                for item in batch:  # one request that the model refuses must not fail its neighbours
                    await self._alone(item)
        except Exception as error:
            for item in batch:
                if not item.answer.done():
                    item.answer.set_exception(error)
        finally:
            self._in_flight -= 1
            self._start()

    async def _alone(self, item: _Waiting) -> None:
        try:
            await self._answer([item])
        except Problem as problem:
            if not item.answer.done():
                item.answer.set_exception(problem)

    async def _answer(self, batch: list[_Waiting]) -> None:
        self._on_call(len(batch))
        merged = await self._send(batch[0].model, self._version, [item.tensors for item in batch])
        if len(batch) == 1:
            if not batch[0].answer.done():
                batch[0].answer.set_result(merged)
            return
        row = 0
        for item in batch:
            if not item.answer.done():
                item.answer.set_result(merged.rows(row, row + item.tensors.rows))
            row += item.tensors.rows
