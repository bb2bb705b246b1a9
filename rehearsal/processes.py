"""The processes of a rehearsal: starting, finding and ending them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal import files
from rehearsal.places import Place, state, state_of
from rehearsal.world.shell import NETNS

MARKER = "STAGECRAFT_REHEARSAL"  # every process of a rehearsal carries its name in this environment variable,
STATE = "STAGECRAFT_STATE"  # and the state folder to which it belongs: another folder may have a rehearsal of that name
ASK_SECONDS = 0.1  # between two questions to a daemon that starts


@dataclass(frozen=True)
class Daemon:
    """One process that `rehearsal up` keeps running. `netns` is a namespace's full name; None is the machine's own.
    The process stays in the foreground; what it prints goes to <state>/logs/<name>.log."""

    name: str
    argv: tuple[str, ...]
    netns: str | None = None
    env: dict[str, str] = field(default_factory=dict)


def log_file(place: Place, name: str) -> Path:
    return place.folder / "logs" / f"{name}.log"


def _pidfile(place: Place, name: str) -> Path:
    return place.folder / "run" / f"{name}.pid"


def start(place: Place, daemon: Daemon) -> subprocess.Popen[bytes] | None:
    """Start the daemon unless it runs. What was started now, or None."""
    if running(place, daemon.name):
        return None
    log, pidfile = log_file(place, daemon.name), _pidfile(place, daemon.name)
    for folder in (log.parent, pidfile.parent):
        files.private_folder(folder)
    enter = ["nsenter", f"--net={NETNS / daemon.netns}", "--"] if daemon.netns else []
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*enter, *daemon.argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **daemon.env, MARKER: place.name, STATE: str(state())},
            start_new_session=True,
        )
    files.write(pidfile, f"{process.pid} {_started(process.pid)}")
    return process


def running(place: Place, name: str) -> int | None:
    """The process id of a daemon, or None. A process id that now belongs to something else does not count.

    A process is known by its number and its start: its environment cannot be read while it becomes another program."""
    try:
        pid, started = map(int, _pidfile(place, name).read_text().split())
    except (FileNotFoundError, ValueError):
        return None
    return pid if _alive(pid) and _started(pid) == started else None


def refusal(
    place: Place, name: str, ask: Callable[[], object], limit: float, errors: tuple[type[Exception], ...]
) -> Exception | None:
    """Ask a daemon that has just been started until it answers. Returns None then; the last of `errors` where it has
    ended before, or has not answered after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        try:
            ask()
            return None
        except errors as error:
            if running(place, name) is None or time.monotonic() > deadline:
                return error
        time.sleep(ASK_SECONDS)


def daemons(place: Place) -> dict[str, int | None]:
    """Every daemon that was ever started, with its process id where it runs."""
    return {file.stem: running(place, file.stem) for file in sorted(_pidfile(place, "x").parent.glob("*.pid"))}


def of_rehearsal(place: Place) -> set[int]:
    """All processes that carry the rehearsal's marker or are inside one of its namespaces, however they got there,
    except the caller and its parents."""
    inodes = set() if place.foreign() else {file.stat().st_ino for file in NETNS.glob(f"{place.prefix}*")}
    return {pid for pid in _others() if _belongs(pid, place) or _netns(pid) in inodes}


def marked(place: Place) -> set[int]:
    """The processes that carry the rehearsal's marker, except containers' monitors, the caller and its parents."""
    return {pid for pid in _others() if _belongs(pid, place) and _command(pid) != "conmon"}


def carrying(variable: str, value: str) -> set[int]:
    """The processes that carry an environment variable with this value, except the caller and its parents."""
    return {pid for pid in _others() if _environment(pid).get(variable) == value}


def _others() -> set[int]:
    """Every living process, except this one and its parents."""
    numbers = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {pid for pid in numbers - _lineage() if _alive(pid)}


def end(pids: set[int], patience: float = 5) -> int:
    """Ask processes to end, insist after `patience` seconds; the number that there were."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience
        while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
    return len(pids)


def stop(place: Place, name: str) -> None:
    """End one daemon."""
    if pid := running(place, name):
        end({pid})


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third, the state, on (proc_pid_stat(5)); empty when there is no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine's start."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _environment(pid: int) -> dict[str, str]:
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return {key: value for key, _, value in (os.fsdecode(entry).partition("=") for entry in entries)}


def _belongs(pid: int, place: Place) -> bool:
    variables = _environment(pid)
    return variables.get(MARKER) == place.name and state_of(variables.get(STATE)) == state()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _netns(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except OSError:
        return None


def _lineage() -> set[int]:
    """This process and its parents: `down` may be typed in a shell that is inside the rehearsal."""
    pid, seen = os.getpid(), set()
    while pid > 1:
        seen.add(pid)
        pid = int(_stat(pid)[1])
    return seen
