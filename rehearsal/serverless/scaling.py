"""Decisions about the instances of one revision: which takes a request, how many to start, which to stop."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field


@dataclass
class Seats:
    """One instance as scaling sees it: how many requests it has, and since when (seconds) it has none."""

    instance: Hashable
    idle_since: float
    busy: int = 0
    retired: bool = False  # gets no request any more, and goes when it has ended those it has


@dataclass
class Scale:
    """The instances of a revision. `starting` are on their way, `waiting` requests have no instance yet."""

    concurrency: int
    limit: int
    provisioned: int = 0
    starting: int = 0
    waiting: int = 0
    seats: list[Seats] = field(default_factory=list)

    def in_use(self) -> Iterable[Seats]:
        return (seat for seat in self.seats if not seat.retired)

    def add(self, instance: Hashable, now: float) -> Seats:
        """An instance is ready."""
        seat = Seats(instance, now)
        self.seats.append(seat)
        return seat

    def drop(self, instance: Hashable) -> None:
        """An instance is gone."""
        self.seats = [seat for seat in self.seats if seat.instance != instance]

    def take(self) -> Seats | None:
        """The instance for a request: the fullest that has room, so that the others become idle."""
        free = [seat for seat in self.in_use() if seat.busy < self.concurrency]
        if not free:
            return None
        seat = max(free, key=lambda seat: (seat.busy, seat.idle_since))
        seat.busy += 1
        return seat

    def give(self, seat: Seats, now: float) -> None:
        """A request has ended."""
        seat.busy -= 1
        if not seat.busy:
            seat.idle_since = now

    def missing(self) -> int:
        """How many instances to start now: for those who wait, and so many as are provisioned, up to the limit."""
        total = self.starting + sum(1 for _ in self.in_use())
        wanted = max(math.ceil(self.waiting / self.concurrency) - self.starting, self.provisioned - total)
        return max(0, min(wanted, self.limit - total))

    def surplus(self, now: float, idle: float) -> list[Seats]:
        """The instances to stop now: retired ones without requests, and those idle for `idle` seconds beyond the
        provisioned, the longest idle first."""
        retired = [seat for seat in self.seats if seat.retired and not seat.busy]
        spare = sum(1 for _ in self.in_use()) - self.provisioned
        resting = sorted(
            (seat for seat in self.in_use() if not seat.busy and now - seat.idle_since >= idle),
            key=lambda seat: seat.idle_since,
        )
        return retired + resting[: max(0, spare)]
