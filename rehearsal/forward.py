"""Ways between the machine's own network and a rehearsal's: a socket that listens in one, connections made in the other.

Nothing of the machine's network is changed: a socket belongs to the namespace in which it was created, so one process
can hold both ends. What to forward is a file, `forwards.json` in the rehearsal's folder; the process follows it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal import files
from rehearsal.places import Place
from rehearsal.world import WorldError, shell

HERE = "127.0.0.1"
LOOK_SECONDS = 0.2
LISTEN_SECONDS = 10
CONNECT_SECONDS = 10
CHUNK = 1 << 16
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forward:
    """`inward`: listen on the machine's loopback, connect inside the rehearsal's internet. Otherwise the reverse."""

    name: str
    listen: tuple[str, int]
    target: tuple[str, int]
    inward: bool = True


def listed(place: Place) -> list[Forward]:
    """The forwards of a rehearsal, in the order of their names."""
    try:
        items = files.read_json(_file(place), place.name)
    except FileNotFoundError:
        return []
    return [Forward(i["name"], tuple(i["listen"]), tuple(i["target"]), i["inward"]) for i in items]


def inward(place: Place, name: str, address: str, port: int) -> int:
    """Forward a free port of 127.0.0.1 to an address of the rehearsal's internet; the port, once it listens.

    A name keeps its port. Raises WorldError where nobody listens there in time."""
    with _changing(place) as items:
        old = items.get(name)
        local = old.listen[1] if old and old.inward else _free_port()
        items[name] = Forward(name, (HERE, local), (str(address), port))
    deadline = time.monotonic() + LISTEN_SECONDS
    while not _listens(local):
        if time.monotonic() > deadline:
            raise WorldError(
                f"nobody listens on {HERE}:{local} for {name}: the process `forward` of the rehearsal has died or hangs."
                f" `make status STAGE={place.name}` shows it; the same command again starts it"
            )
        time.sleep(LOOK_SECONDS / 4)
    return local


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0


def outward(place: Place, name: str, address: str, port: int, target_port: int) -> None:
    """Let the rehearsal's internet reach a port of the machine's 127.0.0.1 at an address of its own."""
    with _changing(place) as items:
        items[name] = Forward(name, (str(address), port), (HERE, target_port), inward=False)


def remove(place: Place, name: str) -> None:
    """Forget a forward; its connections end."""
    with _changing(place) as items:
        items.pop(name, None)


def _file(place: Place) -> Path:
    return place.folder / "forwards.json"


@contextmanager
def _changing(place: Place) -> Iterator[dict[str, Forward]]:
    """The forwards by name; written back, whole, when the block ends. One writer at a time."""
    files.private_folder(place.folder)
    with _file(place).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        items = {item.name: item for item in listed(place)}
        yield items
        files.write(_file(place), json.dumps([asdict(items[name]) for name in sorted(items)], indent=1))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return probe.getsockname()[1]


class Forwarder:
    """Keeps a listening socket for every forward in the file."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._internet = place.netns("internet")
        self._open: dict[Forward, asyncio.Server] = {}
        self._busy: dict[Forward, set[asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            wanted = set(listed(self._place))
            for item in self._open.keys() - wanted:
                self._open.pop(item).close()
                for task in self._busy.pop(item, ()):
                    task.cancel()
            for item in wanted - self._open.keys():
                try:
                    self._open[item] = await self._listen(item)
                    log.info("%s: %s:%s to %s:%s", item.name, *item.listen, *item.target)
                except OSError as error:
                    log.warning("%s: cannot listen on %s:%s: %s", item.name, *item.listen, error)
            await asyncio.sleep(LOOK_SECONDS)

    def _socket(self, inside: bool) -> socket.socket:
        with shell.entered(self._internet if inside else None):
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    async def _listen(self, item: Forward) -> asyncio.Server:
        listener = self._socket(inside=not item.inward)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(item.listen)
        except OSError:
            listener.close()
            raise
        return await asyncio.start_server(lambda r, w: self._accepted(item, r, w), sock=listener)

    async def _accepted(self, item: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._busy.setdefault(item, set()).add(task)
        try:
            await self._connect(item, reader, writer)
        except (OSError, TimeoutError) as error:
            log.info("%s: %s:%s: %s", item.name, *item.target, error or "no answer")
        finally:
            self._busy.get(item, set()).discard(task)
            writer.close()

    async def _connect(self, item: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = self._socket(inside=item.inward)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(far, item.target)
            far_reader, far_writer = await asyncio.open_connection(sock=far)
        except BaseException:
            far.close()
            raise
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        except* (OSError, ConnectionError):
            pass  # one side was cut off: the other is closed below
        finally:
            far_writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Bytes one way until the source ends; then the sink is told so, and may still answer."""
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    with suppress(OSError):
        sink.write_eof()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(Forwarder(Place(sys.argv[1])).run())
