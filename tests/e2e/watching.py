"""Every command line that is seen on this machine, those in its containers among them."""

from __future__ import annotations

import threading
from pathlib import Path

PAUSE = 0.05  # seconds between two looks; a process that lives for less may be missed


class CommandLines(threading.Thread):
    """Use as a context manager; `seen` grows as processes come."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen, self._ended = set[bytes](), threading.Event()

    def run(self) -> None:
        while not self._ended.wait(PAUSE):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(process.read_bytes())
                except OSError:
                    continue  # it has ended

    def __enter__(self) -> CommandLines:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(10)
