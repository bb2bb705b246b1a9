"""The lease of a run, held by the run's agent: taken once, renewed while the run is there, let go at its end."""

from __future__ import annotations

import threading
import time
from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.lease import Lease
from ...module_utils.session import Session
from ..connection import hidden

RENEWALS = 3  # in its time to live: two may fail
LAST_WORDS = 2  # seconds in which every process that talks to the cloud sees that its run is gone, and ends


class Kept:
    """A lease with the thread that renews it."""

    def __init__(self, lease: Lease) -> None:
        self.lease, self.lost, self._over = lease, False, threading.Event()
        threading.Thread(target=self._renew, daemon=True).start()

    def _renew(self) -> None:
        while not self._over.wait(self.lease.ttl / RENEWALS):
            try:
                self.lost = not self.lease.renew()
            except (
                Fail
            ):  # the cloud did not answer: it may at the next renewal, and the lease knows when it is too late
                continue
            if self.lost:
                return

    def release(self) -> None:
        self._over.set()
        self.lease.release()


_lock = threading.Lock()
_kept: dict[str, Kept] = {}  # by folder
_taken: list[Lease] = []  # at this moment


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """Take the lease, let it go, or (`state: held`) only see that it was not lost. Raises Fail where it was, or where
    another run has it.
    """
    answers.hide(hidden(request["connection"]))
    with _lock:
        if request["state"] == "present":
            return take(request, answers)
        for kept in _kept.values():
            if kept.lost:
                raise Fail(
                    f"this run has lost the lease of folder {kept.lease.folder}, because it could not renew it in time, "
                    "and another run may be changing the same things: look who is, then run the same again"
                )
        if request["state"] == "absent":
            let_go()
        return {"held": bool(_kept)}


def take(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    session = Session.from_options(request["connection"])
    kept = _kept.get(session.need_folder())
    if kept is None or kept.lost:
        lease = Lease(session, request["holder"], request["ttl"])
        session.notice = answers.notice
        if not _kept:
            answers.at_end(run_is_over)  # before it is taken: the run may end meanwhile
        _taken.append(lease)
        try:
            lease.take(request["wait"])
        finally:
            _taken.remove(lease)
        session.notice = None  # what is renewed later has nobody to tell
        kept = _kept[lease.folder] = Kept(lease)
    return {"held": True, "since": kept.lease.since, "until": kept.lease.until}


def run_is_over() -> None:
    """The run ended without letting go: it failed, or was killed, and then what it began may still be at work."""
    for lease in _taken:
        lease.given_up = True
    with _lock:  # what is being taken is had by now, or never will be
        if _kept:
            time.sleep(LAST_WORDS)
        let_go()


def let_go() -> None:
    while _kept:
        _kept.popitem()[1].release()
