"""The instances of a revision and those who wait for them. Instances are processes that sleep, at a real address."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rehearsal.serverless import pool as pools
from rehearsal.serverless.instances import Instance
from rehearsal.serverless.pool import Overloaded, Pool
from rehearsal.serverless.served import Revision
from rehearsal.world import WorldError

REVISION = Revision("rev", "bba", "image", 128 << 20, 1, 100, concurrency=1, timeout=5, instances=2)


class Processes:
    """Starts what an instance is for a pool: a process, and an address where somebody listens, if `listens`."""

    def __init__(self, folder: Path, *, broken: bool = False) -> None:
        self.broken, self.running, self._numbers, self._folder = broken, {}, itertools.count(), folder

    def start(self, revision: Revision) -> Instance:
        if self.broken:
            raise WorldError("there is no room")
        name = f"run-{next(self._numbers)}"
        process = self.running[name] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        switch = self._folder / name / "freezer.state"
        switch.parent.mkdir()
        return Instance(name, revision.id, IPv4Address("127.0.0.1"), process.pid, Path("/nowhere"), switch)

    def state(self, name: str) -> str:
        """What the kernel was last told of an instance."""
        return (self._folder / name / "freezer.state").read_text()

    def why_ended(self, instance: Instance) -> str:
        return f"exit status {self.running[instance.id].wait()}"

    def remove(self, ident: str, address: IPv4Address) -> None:
        self.running[ident].kill()
        self.running[ident].wait()

    def last_lines(self, instance: Instance) -> str:
        return "its last words"

    def alive(self) -> list[str]:
        return [name for name, process in self.running.items() if process.poll() is None]


@asynccontextmanager
async def pool(monkeypatch, processes: Processes, *, listens: bool = True):
    """A pool, with a server at the address of its instances."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    monkeypatch.setattr(pools, "PORT", server.sockets[0].getsockname()[1])
    if not listens:
        server.close()
        await server.wait_closed()
    made = Pool(REVISION, processes, lambda: 100.0)
    try:
        yield made
    finally:
        made.tend(live=False)
        for name in processes.running:
            processes.remove(name, IPv4Address("127.0.0.1"))
        await emptied(made)
        server.close()


async def emptied(made: Pool) -> None:
    """Wait, five seconds at most, until a pool has no instance and nothing to do."""
    for _ in range(500):
        if made.empty:
            break
        await asyncio.sleep(0.01)


def test_requests_get_instances_up_to_the_limit_and_the_others_their_turn(monkeypatch, tmp_path):
    async def scenario() -> None:
        processes = Processes(tmp_path)
        async with pool(monkeypatch, processes) as made:
            first, second = await asyncio.gather(made.take(), made.take())
            assert first is not second and len(processes.alive()) == 2
            third = asyncio.create_task(made.take())
            await asyncio.sleep(0.1)
            assert not third.done() and len(processes.alive()) == 2
            made.give(first)
            assert await third is first

    asyncio.run(scenario())


def test_an_instance_has_time_while_it_has_a_request_and_for_its_end(monkeypatch, tmp_path):
    async def scenario() -> None:
        processes = Processes(tmp_path)
        async with pool(monkeypatch, processes) as made:
            await made.prepare()
            (name,) = processes.alive()
            assert processes.state(name) == "FROZEN", "it has started, and nobody asks"
            seat = await made.take()
            assert processes.state(name) == "THAWED"
            made.give(seat)
            assert processes.state(name) == "FROZEN"
            made.tend(live=False)
            await emptied(made)
            assert processes.state(name) == "THAWED" and not processes.alive(), "it may end by itself"
            old = processes.start(REVISION)
            old.thaw()
            made.adopt(old)
            assert processes.state(old.id) == "FROZEN", "its requests have ended with the front that it had"

    asyncio.run(scenario())


def test_more_than_the_queue_holds_is_refused_and_who_gives_up_leaves_it(monkeypatch, tmp_path):
    async def scenario() -> None:
        async with pool(monkeypatch, Processes(tmp_path)) as made:
            busy = [await made.take(), await made.take()]
            monkeypatch.setattr(pools, "QUEUE", 1)
            waiting = asyncio.create_task(made.take())
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await made.take()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            another = asyncio.create_task(made.take())
            await asyncio.sleep(0)
            made.give(busy[0])
            assert await another is busy[0], "nobody has it who does not want it any more"

    asyncio.run(scenario())


def test_what_cannot_start_is_told_to_those_who_wait(monkeypatch, tmp_path):
    async def scenario() -> None:
        async with pool(monkeypatch, Processes(tmp_path, broken=True)) as made:
            with pytest.raises(WorldError, match="there is no room"):
                await made.take()

    asyncio.run(scenario())


def test_what_does_not_listen_is_stopped_and_its_last_words_told(monkeypatch, tmp_path):
    async def scenario() -> None:
        processes = Processes(tmp_path)
        monkeypatch.setattr(pools, "START_LIMIT", 0.2)
        async with pool(monkeypatch, processes, listens=False) as made:
            with pytest.raises(WorldError, match=r"(?s)does not listen on port .*its last words"):
                await made.prepare()
            assert not processes.alive()

    asyncio.run(scenario())


def test_an_instance_that_ends_is_forgotten_and_says_why(monkeypatch, tmp_path):
    async def scenario() -> None:
        processes = Processes(tmp_path)
        async with pool(monkeypatch, processes) as made:
            seat = await made.take()
            asked = asyncio.create_task(made.why_ended(seat.instance, 5))
            await asyncio.sleep(0)
            processes.running[seat.instance.id].kill()
            assert await asked == "exit status -9"
            made.give(seat)
            again = await made.take()
            assert again.instance != seat.instance
            assert await made.why_ended(seat.instance, 0) == "exit status -9", "who asks late is told, too"
            monkeypatch.setattr(pools, "REASONS", 1)
            processes.running[again.instance.id].kill()
            assert await made.why_ended(again.instance, 5) == "exit status -9"
            await asyncio.sleep(0.2)
            assert await made.why_ended(seat.instance, 0) == "", "only the last ones are remembered"

    asyncio.run(scenario())


def test_a_prepared_instance_waits_for_the_switch_and_an_old_one_does_not(monkeypatch, tmp_path):
    async def scenario() -> None:
        processes = Processes(tmp_path)
        async with pool(monkeypatch, processes) as made:
            await made.prepare()
            made.tend(live=False)
            await asyncio.sleep(0.1)
            assert len(processes.alive()) == 1, "not live yet"
            made.tend(live=True)
            seat = await made.take()
            made.tend(live=False)
            await asyncio.sleep(0.1)
            assert len(processes.alive()) == 1, "it has a request to end"
            made.give(seat)
            made.tend(live=False)
            await emptied(made)
            assert not processes.alive()

    asyncio.run(scenario())


def test_a_revision_that_was_live_only_between_two_looks_is_not_kept_either(monkeypatch, tmp_path):
    async def scenario() -> None:
        processes = Processes(tmp_path)
        async with pool(monkeypatch, processes) as made:
            await made.prepare()
            made.give(await made.take())
            made.tend(live=False)
            await emptied(made)
            assert not processes.alive()

    asyncio.run(scenario())
