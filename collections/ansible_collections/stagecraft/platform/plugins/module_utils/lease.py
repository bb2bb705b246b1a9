"""A stage's lease: one run at a time may change what is in a folder.

A service account without any role stands for it. It can be had before anything else of the stage exists, and the cloud
itself decides who is first: names of service accounts are unique, and creating one is atomic. Its labels say until when it
holds. One that has run out is deleted by its id, so that of many who saw the same one only one can go on.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from .declaration import Fail
from .descriptors import methods, new
from .errors import ApiFail
from .session import Session, pauses

SERVICE = "iam.v1.ServiceAccountService"
RUN, SINCE, UNTIL = "stagecraft-lease-run", "stagecraft-lease-since", "stagecraft-lease-until"
SHORTEST = 2  # seconds
SETTLE = 20  # seconds in which who is first has to show
LONGEST_HOLDER = 256  # characters, of a description
MARGIN = 0.1  # of its time before its end a lease counts as lost for its holder: clocks differ, and calls take a while


def name_in(folder: str) -> str:
    """The name of the service account that stands for a run in a folder."""
    return f"stagecraft-lease-{folder}"


class Lease:
    """One run's lease on its session's folder. Times are seconds since the epoch."""

    def __init__(self, session: Session, holder: str, ttl: int) -> None:
        """No call is made. Raises Fail where the time to live, in seconds, is too short to be renewed."""
        if ttl < SHORTEST:
            raise Fail(f"ttl: {ttl} s is too short for a lease: give it at least {SHORTEST} s")
        self.session, self.holder, self.ttl = session, holder[:LONGEST_HOLDER], ttl
        self.folder = session.need_folder()
        self.name = name_in(self.folder)
        self.run, self.id, self.since, self.until = uuid.uuid4().hex, "", 0, 0
        self.given_up = False  # set by another thread, where nobody wants it any more

    # ---- what its holder does ----
    def take(self, wait: float) -> None:
        """Have it, within so many seconds where somebody else has it. Raises Fail with who that is."""
        deadline = time.monotonic() + wait
        for _ in pauses(wait + SETTLE):
            if self.given_up:
                raise Fail("the run is over, and wants no lease any more")
            there = self.find()
            if there is not None and there.labels.get(RUN) == self.run:  # the answer to its creation was lost
                self.id = there.id
                return
            if there is None or ends(there) < time.time():
                if there is not None:
                    self.delete(there.id)
                if self.create():
                    return
            elif time.monotonic() >= deadline:
                raise Fail(self.held_by(there))
        raise Fail(
            f"the service account {self.name} can be neither seen nor created, so nobody can take the lease of folder "
            f"{self.folder}: run the same again; if it stays so, look for an account of that name in the cloud"
        )

    def renew(self) -> bool:
        """Hold it for another time to live; False where it is lost, and somebody else may have it.

        Only what is answered before its end counts: later, another run may have seen it end.
        """
        if not self.id or time.time() > self.end():
            return False
        until = int(time.time()) + self.ttl
        request = self.request("Update", service_account_id=self.id, labels=self.labels(until))
        request.update_mask.paths.append("labels")
        try:
            self.session.call(SERVICE, "Update", request)
        except ApiFail as error:
            if error.code == "NOT_FOUND":
                return False
            raise
        if time.time() > self.end():
            return False
        self.until = until
        return True

    def release(self) -> None:
        """Let it go; nothing is left of it."""
        if self.id:
            self.delete(self.id)
        self.id = ""

    def end(self) -> float:
        """When it ends for its holder."""
        return self.until - self.ttl * MARGIN

    # ---- calls ----
    def find(self) -> Any:
        found = f'name="{self.name}"'
        rows = self.session.pages(SERVICE, folder_id=self.folder, filter=found)
        return next((row for row in rows if row.name == self.name), None)

    def create(self) -> bool:
        """Whether it was made, and so is this run's: somebody else may have been quicker."""
        self.since = int(time.time())
        self.until = self.since + self.ttl
        request = self.request(
            "Create",
            folder_id=self.folder,
            name=self.name,
            description=self.holder,
            labels=self.labels(self.until),
        )
        try:
            operation = self.session.call(SERVICE, "Create", request)
        except ApiFail as error:
            if error.code == "ALREADY_EXISTS":
                return False
            raise
        made = new(methods(SERVICE)["Get"].output_type)
        operation.response.Unpack(made)
        self.id = made.id
        return True

    def delete(self, ident: str) -> None:
        """Delete exactly the account that was read; that it is gone already is as good."""
        try:
            self.session.call(SERVICE, "Delete", self.request("Delete", service_account_id=ident))
        except ApiFail as error:
            if error.code != "NOT_FOUND":
                raise

    def labels(self, until: int) -> dict[str, str]:
        return {RUN: self.run, SINCE: str(self.since), UNTIL: str(until)}

    def request(self, method: str, **values: Any) -> Any:
        return new(methods(SERVICE)[method].input_type, **values)

    def held_by(self, there: Any) -> str:
        since, until = clock(there.labels.get(SINCE)), clock(there.labels.get(UNTIL))
        return (
            f"another run changes what is in folder {self.folder}: its lease is held by {there.description} since {since}. "
            "Nothing was touched. Wait for that run (-e lease_wait=20m waits so long for it); if it is dead, "
            f"its lease ends at {until}, or at once with: yc iam service-account delete {there.id}"
        )


def ends(account: Any) -> float:
    """When an account's lease ends; one that does not say so never began to hold."""
    text = account.labels.get(UNTIL, "")
    return float(text) if text.isdigit() else 0


def clock(seconds: str | None) -> str:
    """A label's time as a person reads it."""
    text = seconds if seconds and seconds.isdigit() else "0"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(int(text)))
