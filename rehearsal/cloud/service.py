"""What a service is to the emulator, and what a call carries through it."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from yandex.cloud.operation.operation_pb2 import Operation

from rehearsal.cloud.descriptors import is_text, new, operation_types, short, snake
from rehearsal.cloud.errors import ApiError, Code
from rehearsal.cloud.operations import Job
from rehearsal.cloud.shapes import absorb

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud
    from rehearsal.cloud.kind import Kind

LETTERS = string.ascii_lowercase.translate(str.maketrans("", "", "ilwxyz")) + string.digits


def new_id(prefix: str) -> str:
    """An id as the cloud makes them: 20 characters, the first three say which service."""
    return prefix + "".join(secrets.choice(LETTERS) for _ in range(20 - len(prefix)))


@dataclass
class Call:
    """One call on its way through a service, inside a transaction."""

    cloud: Cloud
    method: MethodDescriptor
    request: Message
    principal: str
    key: str = ""  # the idempotency key
    later: list[Callable[[], None]] = field(
        default_factory=list
    )  # after the transaction, before the answer, without the lock

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256(self.request.SerializeToString(deterministic=True)).hexdigest()

    @property
    def name(self) -> str:
        return short(self.method)

    def answer(self) -> Message:
        """An empty answer of this method's type."""
        return new(self.method.output_type)

    def operation(
        self,
        kind: Kind,
        resource: Message,
        verb: str,
        *,
        before: Message | None = None,
        answer: Message | None = None,
        **note: object,
    ) -> Operation:
        """Start the operation that this call promises; its thread begins when the transaction is done.

        `verb` names the kind's methods that do the work; `answer` fixes the response, else it is the resource, or Empty."""
        operation = Operation(
            id=new_id(kind.prefix), description=f"{self.method.name} {kind.title}", created_by=self.principal
        )
        operation.created_at.GetCurrentTime()
        operation.modified_at.CopyFrom(operation.created_at)
        _, metadata = operation_types(self.method)
        if metadata is not None:
            operation.metadata.Pack(self._metadata(new(metadata), kind, resource))
        packed = None
        if answer is not None:
            packed = AnyMessage()
            packed.Pack(answer)
        fault = self.cloud.faults.take(self.name, "fail_operation", "hang_operation")
        if fault is not None:
            note |= {"hang": True} if fault.effect == "hang_operation" else {"fail": fault.code, "text": fault.message}
        job = Job(
            operation.id,
            self.name,
            kind.api,
            kind.key(resource),
            verb,
            before.SerializeToString() if before is not None else None,
            packed.SerializeToString() if packed is not None else None,
            dict(note),
        )
        self.cloud.operations.record(job, operation)
        self.later.append(lambda: self.cloud.operations.spawn(operation.id))
        return operation

    def _metadata(self, metadata: Message, kind: Kind, resource: Message) -> Message:
        """CreateXMetadata and its kind: the ids and names of what the operation is about."""
        absorb(metadata, self.request)
        for wanted in metadata.DESCRIPTOR.fields:
            if not is_text(wanted) or wanted.is_repeated or getattr(metadata, wanted.name):
                continue
            if wanted.name == f"{kind.noun}_id":
                setattr(metadata, wanted.name, kind.key(resource))
            elif wanted.name == f"{kind.noun}_name":
                metadata_name = getattr(resource, "name", "")
                setattr(metadata, wanted.name, metadata_name)
            elif wanted.name in resource.DESCRIPTOR.fields_by_name and wanted.name.endswith("_id"):
                setattr(metadata, wanted.name, getattr(resource, wanted.name))
        return metadata


class Service:
    """A service without resources of its own. Each of its methods is a method here, in snake case."""

    name = ""

    def handle(self, call: Call) -> Message:
        """Answer a call. Raises UNIMPLEMENTED for what this rehearsal does not have."""
        method = getattr(self, snake(call.method.name), None)
        if method is None:
            raise ApiError(Code.UNIMPLEMENTED, f"{call.name} is not part of the emulated cloud")
        return method(call, call.request)

    def guarded(self, call: Call) -> str:
        """The service whose roles decide about a call."""
        return self.name

    def places(self, call: Call) -> list[str]:
        """Where a role may be bound that allows this call: resource ids and the folder."""
        return call.cloud.places(call.request)
