"""The child of `cloud_process`: reads one request, does the job, answers in lines of JSON."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .cloud_process import PACKAGE

JOBS = (
    "stack", "export", "drift", "instances", "host_keys", "folder_contents", "secret", "keys", "lease", "record", "rollback",
    "survey", "folder",
)  # fmt: skip
LOOK = 0.5  # seconds between looks at whether the run is still there


class Answers:
    """Where answers go; no value that was hidden can pass, whatever carries it."""

    def __init__(self, stream: Any, endings: list[Callable[[], None]] | None = None) -> None:
        self._stream, self._lock, self._hidden = stream, threading.Lock(), set[str]()
        self._endings = endings

    def at_end(self, ending: Callable[[], None]) -> None:
        """Do this when the run is over. Only the run's agent lives that long."""
        if self._endings is None:
            raise RuntimeError("this process does not outlive its job")
        self._endings.append(ending)

    def hide(self, values: Iterable[str]) -> None:
        self._hidden |= {v for v in values if v}

    def event(self, event: dict[str, Any]) -> None:
        self._write({"event": event})

    def notice(self, text: str) -> None:
        """A line for the person who waits."""
        self._write({"event": {"notice": text}})

    def finish(self, answer: Any) -> None:
        self._write({"answer": answer})

    def fail(self, message: str, details: dict[str, Any] | None = None) -> None:
        self._write({"error": message, "details": details or {}})

    def _write(self, message: dict[str, Any]) -> None:
        text = json.dumps(message, default=str)
        if any(json.dumps(value)[1:-1] in text for value in self._hidden):
            text = json.dumps(without(message, self._hidden), default=str)
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()


def without(message: dict[str, Any], hidden: set[str]) -> Any:
    """The message, hidden values replaced in it."""
    from ansible.module_utils.common.parameters import remove_values  # a tenth of a second that few answers need

    return remove_values(message, hidden)


def do(job: str, request: dict[str, Any], answers: Answers) -> None:
    """Run a job and write its answer or its error."""
    try:
        from ..module_utils.declaration import Fail, fault

        if job not in JOBS:
            raise ValueError(f"no such job: {job}")
        try:
            answers.finish(importlib.import_module(f"{PACKAGE}.jobs.{job}").run(request, answers))
        except Fail as error:
            answers.fail(str(error), getattr(error, "details", None))
    except ImportError as error:
        answers.fail(f"{error}: install the Python package `yandexcloud` for {sys.executable}")
    except Exception as error:
        answers.fail(fault(error))


def leave_with_run(run: int, leave: Callable[[int], None] = os._exit) -> None:
    """End when the run is gone. One that was killed leaves workers behind, which go on to their task's end."""
    while exists(run):
        time.sleep(LOOK)
    leave(1)


def leave_with_parent(stream: Any, leave: Callable[[int], None] = os._exit) -> None:
    """End at once when the input ends. Operations under way go on in the cloud, and the next run finds them."""
    stream.read()
    leave(1)


def serve(listener: socket.socket, run: int) -> None:
    """Answer requests, each on a connection of its own, as long as the process `run` exists; then end what they began.

    So it does where it is asked to end itself: who ends a whole run must not leave the run's lease behind.
    """
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    listener.settimeout(LOOK)
    path, endings = listener.getsockname(), list[Callable[[], None]]()
    try:
        while exists(run) and not asked.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=answer, args=(connection, endings), daemon=True).start()
    finally:
        for left in (path, path.removesuffix(".sock") + ".lock"):
            Path(left).unlink(missing_ok=True)
    for ending in endings:
        with contextlib.suppress(Exception):  # nobody is there any more to be told
            ending()


def answer(connection: socket.socket, endings: list[Callable[[], None]]) -> None:
    connection.settimeout(None)
    with connection, connection.makefile("r") as requests, connection.makefile("w") as stream:
        message = json.loads(requests.readline() or "null")
        if message is not None:
            do(message["job"], message["request"], Answers(stream, endings))


def exists(process: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # a system without /proc
        return True
    return state != "Z"


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = Answers(os.fdopen(os.dup(1), "w"))
    os.dup2(2, 1)  # whatever a library prints must not stand between the answers
    if len(sys.argv) > 1:
        serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
        os._exit(0)
    message = json.loads(sys.stdin.buffer.readline() or "null")
    if message is None:
        return
    threading.Thread(target=leave_with_parent, args=(sys.stdin.buffer,), daemon=True).start()
    threading.Thread(target=leave_with_run, args=(message["run"],), daemon=True).start()
    do(message["job"], message["request"], answers)
    os._exit(0)  # threads of a stack that was given up do not hold the answer back


if __name__ == "__main__":
    main()
