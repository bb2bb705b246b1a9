"""Operations: what a call has promised and a thread keeps. They survive a restart, because their work is idempotent."""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from yandex.cloud.operation.operation_pb2 import Operation

from rehearsal.cloud.errors import ApiError, Code, code_of, not_found, refused
from rehearsal.world import WorldError

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

log = logging.getLogger(__name__)
COLUMNS = "id, method, api, resource, verb, before, answer, note"


@dataclass
class Job:
    """The work of one operation. `before` is the resource as it was; `note` what the service wrote down for itself."""

    id: str
    method: str
    api: str
    resource: str
    verb: str
    before: bytes | None = None
    answer: bytes | None = None  # of a fixed response, a packed Any
    note: dict = field(default_factory=dict)


class Operations:
    """Starts, runs, finishes and answers for operations. One thread each; those of one resource take turns."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.stopping = threading.Event()
        self.threads: set[threading.Thread] = set()
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._wakes: dict[str, threading.Event] = defaultdict(threading.Event)  # set: do not wait any longer

    # ---- the API's side ----
    def record(self, job: Job, operation: Operation) -> None:
        """Keep a new operation; the caller's transaction makes it true together with its resource."""
        self.cloud.store.execute(
            f"INSERT INTO operations ({COLUMNS}, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            *(job.id, job.method, job.api, job.resource, job.verb, job.before, job.answer, json.dumps(job.note)),
            operation.SerializeToString(),
        )

    def get(self, ident: str) -> Operation:
        """An operation as it stands. Raises NOT_FOUND."""
        found = self.cloud.store.query("SELECT message FROM operations WHERE id = ?", ident)
        if not found:
            raise not_found("Operation", ident)
        return Operation.FromString(found[0][0])

    def job(self, ident: str) -> Job:
        """The work of an operation. Raises NOT_FOUND."""
        found = self.cloud.store.query(f"SELECT {COLUMNS} FROM operations WHERE id = ?", ident)  # noqa: S608
        if not found:
            raise not_found("Operation", ident)
        *values, note = found[0]
        return Job(*values, json.loads(note))

    def of(self, resource: str) -> list[tuple[int, Operation]]:
        """The operations on a resource, with their sequence numbers."""
        found = self.cloud.store.query("SELECT seq, message FROM operations WHERE resource = ? ORDER BY seq", resource)
        return [(seq, Operation.FromString(message)) for seq, message in found]

    def pending(self, resource: str) -> str:
        """The id of an unfinished operation on a resource or on something in it; '' where there is none."""
        found = self.cloud.store.query(
            "SELECT id FROM operations WHERE done = 0 AND (resource = ? OR resource LIKE ?)", resource, resource + "/%"
        )
        return found[0][0] if found else ""

    def cancel(self, ident: str) -> Operation:
        """End an operation that can be cancelled: its work is undone. Raises FAILED_PRECONDITION for any other."""
        operation, job = self.get(ident), self.job(ident)
        if operation.done:
            raise refused(f"Operation {ident} is done and cannot be cancelled")
        if job.verb not in self.cloud.kind(job.api).cancellable:
            raise refused(f"Operation {ident} ({operation.description}) cannot be cancelled")
        note = "UPDATE operations SET note = json_set(note, '$.cancelled', 1) WHERE id = ?"
        self.cloud.store.execute(note, ident)
        self._wakes[ident].set()
        return operation

    # ---- the work ----
    def spawn(self, ident: str) -> None:
        """Run an operation in a thread of its own."""
        thread = threading.Thread(target=self._run, args=(ident,), name=f"operation-{ident}", daemon=True)
        self.threads.add(thread)
        thread.start()

    def resume(self) -> None:
        """After a restart: go on with what was not done. What hung does not: a restarted emulator is a healthy one."""
        self.cloud.store.execute("UPDATE operations SET note = json_remove(note, '$.hang') WHERE done = 0")
        for (ident,) in self.cloud.store.query("SELECT id FROM operations WHERE done = 0 ORDER BY seq"):
            self.spawn(ident)

    def stop(self, patience: float = 30.0) -> None:
        """Let running work end for up to `patience` seconds; what is still waiting goes on after the next start."""
        self.stopping.set()
        for wake in list(self._wakes.values()):
            wake.set()
        for thread in list(self.threads):
            thread.join(patience)

    def _run(self, ident: str) -> None:
        try:
            job = self.job(ident)
            kind = self.cloud.kind(job.api)
            self._wakes[ident].wait(self.cloud.delay)
            if self.stopping.is_set():
                return
            with self._turns[kind.turn(job)]:
                self._perform(kind, job)
        except Exception:
            log.exception("operation %s", ident)
        finally:
            self.threads.discard(threading.current_thread())
            self._wakes.pop(ident, None)

    def _perform(self, kind: object, job: Job) -> None:
        """Do the work, then say so; where it fails, undo it and say that."""
        cloud = self.cloud
        try:
            self._faults(job)
            if self.stopping.is_set():
                return
            self._cancelled(job)
            kind.work(cloud, job)
            with cloud.store.transaction():
                self._cancelled(job)
                answer = kind.settle(cloud, job)
                if job.verb != "delete":
                    self.finish(job, answer)
            if job.verb == "delete":
                kind.after_delete(cloud, job)
                self.finish(job, answer)
        except ApiError as error:
            self._fail(kind, job, error.code, error.message)
        except WorldError as error:
            self._fail(kind, job, Code.INTERNAL, str(error))
        except Exception as error:
            log.exception("operation %s: %s %s", job.id, job.method, job.resource)
            self._fail(kind, job, Code.INTERNAL, f"{type(error).__name__}: {error}")

    def _faults(self, job: Job) -> None:
        """Hang or fail as somebody ordered when the call was accepted."""
        if job.note.get("hang"):
            cleared = self.cloud.faults.cleared
            while not cleared.wait(0.2) and not self._wakes[job.id].is_set():
                pass
        if "fail" in job.note:
            raise ApiError(code_of(job.note["fail"]), job.note.get("text", ""))

    def _cancelled(self, job: Job) -> None:
        """Raises CANCELLED where somebody has asked for that."""
        if "cancelled" in self.job(job.id).note:
            raise ApiError(Code.CANCELLED, "The operation was cancelled")

    def _fail(self, kind: object, job: Job, code: Code, text: str) -> None:
        try:
            kind.undo(self.cloud, job)
        except (WorldError, ApiError) as error:
            log.warning("operation %s: undoing it failed too: %s", job.id, error)
        self.finish(job, None, code, text)

    def finish(self, job: Job, answer: Message | None, code: Code = Code.OK, text: str = "") -> None:
        """Mark an operation done, with its response or its error."""
        with self.cloud.store.transaction():
            operation = self.get(job.id)
            operation.done = True
            operation.modified_at.GetCurrentTime()
            if code is not Code.OK:
                operation.error.code, operation.error.message = code.value[0], text
            elif job.answer:
                operation.response.ParseFromString(job.answer)
            else:
                operation.response.Pack(answer if answer is not None else Empty())
            message = operation.SerializeToString()
            self.cloud.store.execute("UPDATE operations SET message = ?, done = 1 WHERE id = ?", message, job.id)
        outcome = {"operation": job.id, "resource": job.resource, "error": text}
        self.cloud.journal.note(f"{job.method} (operation)", code.name, **outcome)
