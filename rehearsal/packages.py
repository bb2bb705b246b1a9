"""Where a rehearsal's machines get packages from: Debian's through a caching proxy, Python's from a folder of wheels.

Both listen on the machine's loopback; forwards make them reachable inside the rehearsal. The proxy (apt-cacher-ng) has one
cache for all rehearsals, so only one runs at a time: each rehearsal's daemon waits to take over when its owner ends."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.server
import logging
import random
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from rehearsal import forward, places, processes
from rehearsal.ending import Asked
from rehearsal.places import PACKAGES_PORT, Place
from rehearsal.world import WorldError, images

DAEMON = "packages"
APT, WHEELS = "apt", "wheels"  # the names of the forwards
LOOK_SECONDS = 0.5
APT_PORTS = range(20000, 32768)
START_LIMIT = 60  # seconds; on a busy machine
log = logging.getLogger(__name__)


# ---- for `rehearsal up` and `down` ----
def start(place: Place) -> None:
    """Start the caches of a rehearsal unless they run; returns when both answer on the machine's loopback and are
    forwarded. Raises WorldError with the log's path."""
    argv = (sys.executable, "-m", "rehearsal.packages", place.name)
    root = str(Path(__file__).resolve().parents[1])
    processes.start(place, processes.Daemon(DAEMON, argv, env={"PYTHONPATH": root}))

    def ask() -> None:
        if len(found := targets(place)) < 2 or not all(_answers(target) for target in found.values()):
            raise ConnectionError

    if processes.refusal(place, DAEMON, ask, START_LIMIT, (ConnectionError,)):
        raise WorldError(f"the package cache does not start; see {processes.log_file(place, DAEMON)}")


def stop(place: Place) -> None:
    """End the caches of a rehearsal; what they have kept stays."""
    processes.stop(place, DAEMON)
    for name in (APT, WHEELS):
        forward.remove(place, name)


def targets(place: Place) -> dict[str, tuple[str, int]]:
    """Where the caches are on the machine itself, by name: for building images, before the rehearsal's network."""
    return {item.name: item.target for item in forward.listed(place) if item.name in (APT, WHEELS)}


def apt_folder() -> Path:
    return places.cache() / "apt"


def wheel_folder() -> Path:
    return places.cache() / "wheels"


def _answers(target: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(target, timeout=1):
            return True
    except OSError:
        return False


# ---- apt ----
def configuration(folder: Path, port: int, sources: list[str]) -> str:
    """The text of acng.conf: a cache in the folder, on loopback, for the sources (URLs) and for nothing else."""
    lines = [
        f"CacheDir: {folder / 'data'}",
        f"LogDir: {folder / 'log'}",
        "BindAddress: 127.0.0.1",
        f"Port: {port}",
        "ForeGround: 1",
        "ForceManaged: 1",  # the machines' only way out must not lead anywhere else
    ]
    for url in sources:
        parts = urlsplit(url)
        where = f"{parts.netloc}{parts.path}".rstrip("/")
        slug = re.sub(r"[^a-z0-9]+", "-", where.lower())
        if parts.scheme == "http":
            lines.append(f"Remap-{slug}: {where} /{slug} ; http://{where}")
    # What is encrypted cannot be kept, only let through, to exactly these hosts.
    tls = sorted({re.escape(urlsplit(url).hostname or "") for url in sources if url.startswith("https:")})
    if tls:
        lines.append(f"PassThroughPattern: ^({'|'.join(tls)}):443$")
    return "\n".join(lines) + "\n"


def sources() -> list[str]:
    """The URLs of the package sources that the rehearsal's machines are made with."""
    text = "\n".join(images.mirror(recipe.suite) for recipe in images.FAMILIES.values())
    found = [word for line in re.findall(r"(?m)^URIs:(.*)$", text) for word in line.split()]
    return list(dict.fromkeys(url.rstrip("/") for url in found))


class AptCache:
    """The one apt-cacher-ng of this machine's cache: run by whoever holds its lock, used by all."""

    def __init__(self) -> None:
        self._folder = apt_folder()
        self._port_file = self._folder / "port"
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> int | None:
        """Take over where nobody runs it, start it again where it died; its port, None while there is none."""
        if self._lock is None and not self._take():
            return self._known_port()
        if self._process is None or self._process.poll() is not None:
            self._start()
        return self._known_port()

    def stop(self) -> None:
        """End it, where it is ours."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def _take(self) -> bool:
        for name in ("data", "log", "config"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _start(self) -> None:
        port = self._free_port()
        config = self._folder / "config"
        (config / "acng.conf").write_text(configuration(self._folder, port, sources()))
        # It ends with this daemon, however that ends: the next owner must find the cache unused.
        command = ["setpriv", "--pdeathsig", "KILL", "apt-cacher-ng", "-c", str(config)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_LIMIT
        while not _answers((forward.HERE, port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise WorldError(f"apt-cacher-ng does not start ({self._process.poll()}); see {self._folder / 'log'}")
            time.sleep(0.05)
        self._port_file.write_text(str(port))
        log.info("apt-cacher-ng on port %s for %s", port, ", ".join(sources()))

    def _free_port(self) -> int:
        """The port that it had before, so that nobody has to follow; else a free one."""
        # apt-cacher-ng refuses ports above 32767, which are those that the kernel gives.
        for port in [self._known_port() or 0, *random.sample(APT_PORTS, 50)]:
            with socket.socket() as probe, contextlib.suppress(OSError):
                if port in APT_PORTS:
                    probe.bind((forward.HERE, port))
                    return port
        raise WorldError("no free port for apt-cacher-ng on 127.0.0.1")

    def _known_port(self) -> int | None:
        try:
            return int(self._port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None


# ---- wheels ----
class _Files(http.server.SimpleHTTPRequestHandler):
    """Files and their listing, which is what pip's --find-links reads."""

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


def serve_wheels(folder: Path) -> int:
    """Serve the folder on a free port of the machine's loopback, in threads of its own; the port."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(_Files, directory=str(folder))
    server = http.server.ThreadingHTTPServer((forward.HERE, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def main() -> None:
    """Serve one rehearsal until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    place, end = Place(sys.argv[1]), Asked()
    forward.outward(place, WHEELS, str(places.WHEELS), PACKAGES_PORT, serve_wheels(wheel_folder()))
    cache, shown = AptCache(), None
    while True:
        port = cache.look()
        if port and port != shown:
            forward.outward(place, APT, str(places.PACKAGES), PACKAGES_PORT, port)
            shown = port
        if end.wait(LOOK_SECONDS):
            break
    cache.stop()


if __name__ == "__main__":
    main()
