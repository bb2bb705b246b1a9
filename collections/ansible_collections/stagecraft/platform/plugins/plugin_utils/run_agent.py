"""One process beside a run, for what outlives its tasks: secrets, asked of the cloud once and kept in memory only, and
the stage's lease. It ends with the run.

Lookups and actions are made in processes that Ansible forks for each task, and so can share nothing by themselves; a
secret must not be on a disk. They reach the agent by a socket in a folder that only this user can enter.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cloud_process import CloudError, answer_in, ask, command, environment, last_message, run

LONGEST = 100  # bytes of a socket's path


def ask_agent(
    job: str,
    request: dict[str, Any],
    on_event: Callable[[dict[str, Any]], None] | None = None,
    *,
    lasting: bool = False,
) -> Any:
    """As `cloud_process.ask`, through the run's agent, which is started by whoever asks first.

    `lasting` says that what the job begins has to outlast the call.
    """
    path = folder() / f"{run()}.sock"
    if len(os.fsencode(path)) > LONGEST:
        if lasting:
            raise CloudError(f"{path} is too long a name for a socket: set TMPDIR to a folder with a shorter one")
        return ask(job, request, on_event)  # slower, and right
    with connected(path) as connection, connection.makefile("rw") as stream:
        stream.write(json.dumps({"job": job, "request": request}, default=str) + "\n")
        stream.flush()
        message = last_message(stream, on_event)
    if message is None:
        raise CloudError(
            "the process that keeps this run's secrets and its lease ended unexpectedly: run the same again"
        )
    return answer_in(message)


def still_ours(connection: dict[str, Any]) -> None:
    """Raises CloudError where this run took a lease and lost it."""
    if (folder() / f"{run()}.sock").exists():
        ask_agent("lease", {"connection": connection, "state": "held"})


def folder() -> Path:
    """A folder of this user's alone. Raises CloudError where somebody else has its place."""
    path = Path(tempfile.gettempdir()) / f"stagecraft-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    seen = path.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or stat.S_IMODE(seen.st_mode) & 0o077:
        raise CloudError(f"{path} is not a folder that only you can enter: remove it, and run the same again")
    return path


def connected(path: Path) -> socket.socket:
    """A connection to the run's agent. One of many that ask at once starts it; the others find it."""
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
            start(path)
            connection.connect(str(path))
        return connection


def start(path: Path) -> None:
    """Listen first, so that nobody has to wait for the agent to be ready."""
    quiet = subprocess.DEVNULL
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        subprocess.Popen(
            command(str(listener.fileno()), str(run())),
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            env=environment(),
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
