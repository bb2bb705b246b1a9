"""The end of a process that serves, asked for by a signal."""

from __future__ import annotations

import select
import signal
import socket


class Asked:
    """SIGTERM and SIGINT from now on, in the main thread. A byte on a socket tells of them and not a handler: a signal
    that comes just before a thread blocks, or to another thread, would leave it waiting for a lock for ever."""

    def __init__(self) -> None:
        self._heard, self._told = socket.socketpair()
        self._told.setblocking(False)
        signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether the process was asked to end, waiting up to `seconds`, or until it is."""
        return bool(select.select([self._heard], [], [], seconds)[0])
