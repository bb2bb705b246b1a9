"""One run a stage on this controller. Between controllers, the stage's lease in the cloud does the same."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rehearsal import files, places
from stagecraft import supervision
from stagecraft.stages import Refused, Stage

FILE = "run.lock"  # in the folder of what runs


def scratch(folder: Path) -> Path:
    """A new folder for the files of one run of a stage. What a killed run leaves there, the next one removes."""
    return Path(tempfile.mkdtemp(dir=files.private_folder(folder / "scratch")))


@contextmanager
def alone(stage: Stage, command: str) -> Iterator[None]:
    """Be the only run of a stage on this machine, after what a killed one has left was removed.

    Raises Refused, naming the other run, where one is going on."""
    folder = places.state() / stage.name
    with held(folder, stage.name, command):
        supervision.end(folder)
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        yield


@contextmanager
def held(folder: Path, name: str, command: str) -> Iterator[None]:
    """Be the only run of `name`, which keeps its state in the folder. Raises Refused, naming the other run, else."""
    with os.fdopen(os.open(files.private_folder(folder) / FILE, os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{name}: another run is going on{said(lock.read())}") from None
        with suppress(OSError):  # a full disk must not keep anybody from ending a rehearsal
            lock.truncate()
            lock.write(json.dumps({"pid": os.getpid(), "command": command, "since": time.strftime("%H:%M")}))
            lock.flush()
        yield


def said(note: str) -> str:
    """What the one who has the lock wrote of itself, and what to do."""
    try:
        other = json.loads(note)
        return (
            f" (pid {other['pid']}, {other['command']}, since {other['since']})."
            f" Wait until it is done, or end it: kill {other['pid']}"
        )
    except ValueError:
        return ". Wait until it is done."
