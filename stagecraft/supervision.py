"""No process outlives the run that started it: not after Ctrl-C or a signal, and not after `kill -9` of the command.

Ansible's workers have sessions of their own, so they are known by an environment variable instead of by a process group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rehearsal import processes
from stagecraft.stages import ROOT, Refused

RUN = "STAGECRAFT_RUN"  # the stage's folder, in every process of a run
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DONE = b"done"
PATIENCE = 10.0  # seconds between asking and insisting; a run gives its lease back meanwhile
ROUNDS = 20
LOOK_AGAIN = 0.1  # seconds; a process that is just becoming another program shows no environment for a moment


def end(folder: Path) -> int:
    """End every process of a stage's runs and wait until they are gone; how many there were. Raises Refused if one stays."""
    ended, nobody = 0, 0
    for _ in range(ROUNDS):
        found = processes.carrying(RUN, str(folder))
        nobody = 0 if found else nobody + 1
        if nobody == 2:
            return ended
        ended += processes.end(found, PATIENCE)
        time.sleep(LOOK_AGAIN)
    raise Refused(f"these processes do not end: {', '.join(map(str, sorted(found)))}. End them: kill -9 <number>.")


def stop_by_signal() -> None:
    """Have the signals that ask a command to stop raise Refused, with what is true then."""

    def stopped(number: int, _: object) -> None:
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)  # once is enough: what follows must not be cut off
        raise Refused("stopped. What was done stays; run the same again to go on.", 128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, stopped)


@contextmanager
def held_back() -> Iterator[None]:
    """Signals that ask for an end wait until the block is done: what it asks for is known then. The first one is sent on."""
    waiting: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            os.kill(os.getpid(), waiting[0])


class Run:
    """The processes of one run. `stopped` is the number of the signal that asked for its end."""

    def __init__(self, folder: Path):
        self.folder, self.stopped = folder, 0

    def stop(self, number: int, _: object) -> None:
        """The handler of SIGNALS: ends the processes, so that who waits for them goes on."""
        if not self.stopped:
            self.stopped = number
            end(self.folder)


@contextmanager
def supervised(folder: Path, log: Path) -> Iterator[Run]:
    """What the block starts with RUN in its environment ends when the block is left by a signal or an error, or when this
    process is killed: then a watcher does it, which learns of it by the end of its standard input."""
    run = Run(folder)
    environment = {key: value for key, value in os.environ.items() if key != RUN}
    watcher = subprocess.Popen(
        [sys.executable, "-m", "stagecraft.supervision", str(folder), str(log)], cwd=ROOT, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, run.stop)
    try:
        yield run
        if run.stopped:
            end(folder)  # what was started while the signal was answered
    except BaseException:
        end(folder)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        watcher.communicate(DONE)


def watch(folder: Path, log: Path) -> None:
    """Wait for the end of the command; if it did not say that it was done, end what it has started."""
    if sys.stdin.buffer.read() != DONE:
        ended = end(folder)
        with log.open("a") as out:
            out.write(f"\nThe command was killed; {ended} processes of this run were ended.\n")


if __name__ == "__main__":
    watch(Path(sys.argv[1]), Path(sys.argv[2]))
