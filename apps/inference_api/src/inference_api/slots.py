"""A worker's place: a numbered folder under the state directory that it owns for as long as it lives.

The lock ends with the process, so a worker that replaces a dead one finds its counters and its spool again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LAST = 999


@dataclass(frozen=True)
class Slot:
    """One owned folder; `close` gives it back."""

    folder: Path
    lock: int

    def close(self) -> None:
        """Let somebody else have it."""
        os.close(self.lock)


def claim(state_directory: Path) -> Slot:
    """The first folder that nobody owns, made when it is missing."""
    for number in range(LAST + 1):
        slot = try_claim(state_directory / f"worker-{number}")
        if slot:
            return slot
    raise RuntimeError(f"{state_directory}: all {LAST + 1} worker folders are in use")


def try_claim(folder: Path) -> Slot | None:
    """The folder, unless a living process owns it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return Slot(folder, lock)


def folders(state_directory: Path) -> Iterator[Path]:
    """Every worker's folder, owned or left behind."""
    yield from sorted(state_directory.glob("worker-*"))


def owner_lives(folder: Path) -> bool:
    """Whether the process that last owned the folder still runs; looking must not take the lock."""
    try:
        pid = (folder / "lock").read_text()
    except OSError:
        return False
    return bool(pid) and Path("/proc", pid).exists()
