"""Cloud work in a process of its own: gRPC and the processes that Ansible forks do not mix (grpc #18075).

The request travels on the child's standard input, never in its arguments or environment, and the input stays open:
its end tells the child that whoever asked is gone, so that an interrupted run leaves no process behind. The child has a
session of its own: Ctrl-C at the terminal reaches Ansible, which ends the child in its own order.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PACKAGE = "ansible_collections.stagecraft.platform.plugins.plugin_utils"
COLLECTIONS = Path(__file__).resolve().parents[5]


class CloudError(Exception):
    """The work failed; the text is for the user. `details` is what was known when it did."""

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


def ask(job: str, request: dict[str, Any], on_event: Callable[[dict[str, Any]], None] | None = None) -> Any:
    """Run one job of `plugin_utils/jobs` and return its answer; `on_event` sees what it reports meanwhile.

    Raises CloudError with a message that can be shown as it is.
    """
    with tempfile.TemporaryFile() as words, start(words) as child:
        try:
            _send(child, {"job": job, "request": request, "run": run()})
            message = last_message(child.stdout or (), on_event)
            if message is not None:
                return answer_in(message)
            code = child.wait()
            words.seek(0)
            last = (words.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise CloudError(f"the process that talks to the cloud ended with code {code}: {last}")
        finally:
            child.kill()


def last_message(
    lines: Iterable[str | bytes], on_event: Callable[[dict[str, Any]], None] | None
) -> dict[str, Any] | None:
    """What a job ends with: an answer or an error. `on_event` gets what comes before; None where it ended without."""
    for line in lines:
        message: dict[str, Any] = json.loads(line)
        if "event" not in message:
            return message
        if on_event:
            on_event(message["event"])
    return None


def answer_in(message: dict[str, Any]) -> Any:
    """The answer. Raises CloudError where it is an error."""
    if "error" in message:
        raise CloudError(message["error"], message.get("details"))
    return message["answer"]


def run() -> int:
    """The process id of this run of Ansible, which is the same in all processes that it forks."""
    parent = multiprocessing.parent_process()
    return parent.pid if parent and parent.pid else os.getpid()


def start(words: Any) -> subprocess.Popen[bytes]:
    """Start the worker; `words` is the file that takes what it says on its standard error."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command(), stdin=pipe, stdout=pipe, stderr=words, env=environment(), start_new_session=True)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", f"{PACKAGE}.cloud_worker", *arguments]


def environment() -> dict[str, str]:
    """The worker's environment: it has to find this collection, which Ansible's own importer does not show it."""
    path = os.pathsep.join(filter(None, [str(COLLECTIONS), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "GRPC_VERBOSITY": "NONE"}


def _send(child: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(message, default=str).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        pass  # the child ended early: what it said is reported by the caller
