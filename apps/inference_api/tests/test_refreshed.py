"""A source that is away is asked again soon, then more and more seldom, and never more so than when all is well."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from inference_api import refreshed
from inference_api.refreshed import Refreshed

USUAL = 0.4  # seconds between two looks


class AwayError(Exception):
    """The source did not answer."""


class Source:
    """Answers when it is told to; remembers when it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.away = True
        self.table = Refreshed[list[int]]("numbers", self.load, [], USUAL, (AwayError,), without="nothing is counted")

    async def load(self) -> list[int]:
        self.asked.append(time.monotonic())
        if self.away:
            raise AwayError("nobody there")
        return [1, 2]

    async def runs(self, times: int) -> None:
        """Wait until it was asked so many times."""
        running = asyncio.create_task(self.table.run())
        while len(self.asked) < times:
            await asyncio.sleep(0.01)
        running.cancel()

    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.asked, self.asked[1:], strict=False)]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr(refreshed, "RETRY_SECONDS", 0.05)
    return Source()


def test_pauses_grow_to_the_usual_one_and_it_is_said_once(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(source.runs(7))
    at_least = [0.05, 0.1, 0.2, USUAL, USUAL, USUAL]
    assert all(pause >= least * 0.9 for pause, least in zip(source.pauses(), at_least, strict=True)), source.pauses()
    said = [(entry.levelname, entry.getMessage()) for entry in caplog.records]
    assert said == [("ERROR", "numbers: cannot be read, nothing is counted: nobody there")]


def test_who_has_known_it_goes_on_with_that(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    source.away = False
    asyncio.run(source.table.refresh())
    source.away = True
    for _ in range(3):
        asyncio.run(source.table.refresh())
    assert source.table.value == [1, 2] and source.table.loaded and not source.table.available
    said = [(entry.levelname, entry.getMessage()) for entry in caplog.records if entry.levelno > logging.INFO]
    assert said == [("WARNING", "numbers: cannot be read, the last known are used: nobody there")]
