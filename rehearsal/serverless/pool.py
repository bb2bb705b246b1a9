"""The instances of one revision, and the requests that wait for them. An instance has time of the processor while it starts,
while it has a request and while it ends, as the product gives it: https://yandex.cloud/en/docs/serverless-containers/concepts/container
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING

from rehearsal.serverless.instances import PORT, Instance, Instances
from rehearsal.serverless.scaling import Scale, Seats
from rehearsal.world import WorldError

if TYPE_CHECKING:
    from rehearsal.serverless.served import Revision

QUEUE = 200  # requests of a revision that may wait for an instance
START_LIMIT = 60  # seconds for an instance to accept connections
LOOK_SECONDS = 0.01  # between two looks whether it does
AGAIN_SECONDS = 1  # after a start that failed, before the next one
END_SECONDS = 0.05  # between SIGTERM and SIGKILL, which the product gives an instance without requests
REASONS = 100  # of instances that have ended: so many are remembered
KEPT_SECONDS = 60  # for which an instance of a revision that is not live yet waits for the switch
log = logging.getLogger(__name__)


class Overloaded(Exception):
    """The limit of instances is reached, they are busy, and the queue is full."""


class Pool:
    """Lives in the front's event loop; `Instances` works in threads."""

    def __init__(self, revision: Revision, instances: Instances, idle: Callable[[], float]) -> None:
        self.revision = revision
        self._instances, self._idle = instances, idle
        self.scale = Scale(revision.concurrency, revision.instances)
        self._waiting: deque[asyncio.Future[Seats]] = deque()
        self._ended: dict[str, asyncio.Future[str]] = {}  # by instance: why it ended, once it has
        self._addresses: dict[str, str] = {}  # by instance, from its start to its end
        self._handles: dict[str, int] = {}  # by instance: a descriptor of its first process, while that runs
        self._stopped: set[str] = set()  # instances that end because they were told to
        self._tasks: set[asyncio.Task[None]] = set()
        self._start_after = 0.0
        self._kept_until = 0.0

    # ---- requests ----
    async def take(self) -> Seats:
        """An instance for one request, started if it must be. Raises Overloaded, and WorldError where none starts."""
        self._kept_until = 0.0  # who is asked is live: the switch has come
        if seat := self._seat():
            return seat
        if len(self._waiting) >= QUEUE:
            raise Overloaded
        turn: asyncio.Future[Seats] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._follow()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                self.give(turn.result())
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            self._count()

    def give(self, seat: Seats, *, broken: bool = False) -> None:
        """A request has ended; `broken`: its instance is not to be used again."""
        seat.retired |= broken
        self._vacate(seat)
        self._hand_out()
        self._follow()

    async def why_ended(self, instance: Instance, patience: float) -> str:
        """What became of an instance that has dropped a request; empty where it runs on after `patience` seconds."""
        ended = self._ended.get(instance.id)
        if ended is None:
            return ""
        try:
            return await asyncio.wait_for(asyncio.shield(ended), patience)
        except TimeoutError:
            return ""

    # ---- the life of instances ----
    async def prepare(self) -> None:
        """Have one instance ready before the revision goes live. Raises WorldError where it does not start."""
        self._kept_until = time.monotonic() + KEPT_SECONDS
        if not any(self.scale.in_use()):
            self.scale.starting += 1
            await self._start()
        self._kept_until = time.monotonic() + KEPT_SECONDS

    def adopt(self, instance: Instance) -> None:
        """Go on with an instance that an earlier front has started."""
        self._watch(instance)
        self.scale.add(instance, time.monotonic())
        instance.freeze()  # the requests that it may have had have ended with that front

    def tend(self, *, live: bool) -> None:
        """Called again and again: start what is provisioned, stop what nobody needs; all of it, if not `live`."""
        now = time.monotonic()
        self.scale.provisioned = self.revision.provisioned if live else 0
        if live:
            self._kept_until = 0.0
        idle = self._idle() if live or now < self._kept_until or self._waiting else 0
        for seat in self.scale.surplus(now, idle):
            self.scale.drop(seat.instance)
            self._spawn(self._stop(seat.instance))
        self._follow()

    def addresses(self) -> set[str]:
        """Where its instances are, those among them that do not answer yet."""
        return set(self._addresses.values())

    @property
    def empty(self) -> bool:
        return not (self.scale.seats or self.scale.starting or self._waiting or self._tasks)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count(self) -> None:
        self.scale.waiting = len(self._waiting)

    def _follow(self) -> None:
        """Start the instances that are missing."""
        self._count()
        if time.monotonic() < self._start_after:
            return
        for _ in range(self.scale.missing()):
            self.scale.starting += 1
            self._spawn(self._start_for_somebody())

    def _seat(self) -> Seats | None:
        """A free instance, thawed for a request."""
        seat = self.scale.take()
        if seat and seat.busy == 1:
            seat.instance.thaw()
        return seat

    def _vacate(self, seat: Seats) -> None:
        """A request of an instance has ended; without one it is frozen."""
        self.scale.give(seat, time.monotonic())
        if not seat.busy:
            seat.instance.freeze()

    def _hand_out(self) -> None:
        """Give free instances to those who wait, in the order in which they came."""
        while self._waiting and (seat := self._seat()):
            turn = self._waiting.popleft()
            if turn.done():
                self._vacate(seat)
            else:
                turn.set_result(seat)
        self._count()

    async def _start_for_somebody(self) -> None:
        try:
            await self._start()
        except WorldError as error:
            log.warning("%s", error)
            self._start_after = time.monotonic() + AGAIN_SECONDS
            if self.scale.starting or any(self.scale.in_use()):
                return
            for turn in self._waiting:
                if not turn.done():
                    turn.set_exception(WorldError(str(error)))

    async def _start(self) -> None:
        """Start an instance, wait until it answers, and hand it out. `starting` counts it already."""
        began = time.monotonic()
        try:
            instance = await asyncio.to_thread(self._instances.start, self.revision)
            started = time.monotonic()
            self._watch(instance)
            await self._accepts(instance)
        finally:
            self.scale.starting -= 1
        now = time.monotonic()
        log.info(
            "%s of revision %s answers: container %.2f s, application %.2f s",
            *(instance.id, self.revision.id, started - began, now - started),
        )
        seat = self.scale.add(instance, now)
        self._hand_out()
        if not seat.busy:
            instance.freeze()

    async def _accepts(self, instance: Instance) -> None:
        """Wait until it accepts connections on its port. Raises WorldError, and removes it, where it does not."""
        ended, deadline = self._ended[instance.id], time.monotonic() + START_LIMIT
        while not ended.done() and time.monotonic() < deadline:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(str(instance.address), PORT), 1)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(LOOK_SECONDS)
        if ended.done():
            why = ended.result()
        else:
            lines = await asyncio.to_thread(self._instances.last_lines, instance)
            why = f"it does not listen on port {PORT} (the variable PORT) within {START_LIMIT} s. Last lines:\n{lines}"
            await self._stop(instance)
        raise WorldError(f"an instance of revision {self.revision.id} does not start: {why}")

    def _watch(self, instance: Instance) -> None:
        """Know at once when its first process ends."""
        loop = asyncio.get_running_loop()
        self._ended[instance.id], self._addresses[instance.id] = loop.create_future(), str(instance.address)
        try:
            handle = os.pidfd_open(instance.pid)
        except ProcessLookupError:
            self._spawn(self._bury(instance, out_of_memory=False))
            return

        self._handles[instance.id] = handle

        def ended() -> None:
            loop.remove_reader(handle)
            os.close(self._handles.pop(instance.id))
            self._spawn(self._bury(instance, out_of_memory=instance.out_of_memory()))

        loop.add_reader(handle, ended)

    async def _bury(self, instance: Instance, *, out_of_memory: bool) -> None:
        """Say why it ended, remove what is left of it, and start another where one is missing."""
        self.scale.drop(instance)
        why = "it was stopped"
        try:
            if instance.id not in self._stopped:
                why = f"the memory limit of {self.revision.memory >> 20} MB was exceeded"
                if not out_of_memory:
                    why = await asyncio.to_thread(self._instances.why_ended, instance)
                log.warning("%s of revision %s is gone: %s", instance.id, self.revision.id, why)
        except WorldError as error:
            why = f"it ended, and nobody knows why: {error}"
        self._ended[instance.id].set_result(why)
        try:
            await asyncio.to_thread(self._instances.remove, instance.id, instance.address)
        except WorldError as error:
            log.warning("%s: %s", instance.id, error)
        self._stopped.discard(instance.id)
        del self._addresses[instance.id]
        for old in [ident for ident, reason in self._ended.items() if reason.done()][:-REASONS]:
            del self._ended[old]
        self._follow()

    async def _stop(self, instance: Instance) -> None:
        """Ask it to end, and then end it; `_bury` removes what is left."""
        log.info("%s of revision %s is stopped", instance.id, self.revision.id)
        self._stopped.add(instance.id)
        instance.thaw()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if handle := self._handles.get(instance.id):
                with suppress(ProcessLookupError):  # it has ended, and nobody has looked yet
                    signal.pidfd_send_signal(handle, number)
            await asyncio.sleep(END_SECONDS)
