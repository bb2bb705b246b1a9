"""The operation service."""

from __future__ import annotations

from google.protobuf.message import Message

from rehearsal.cloud.service import Call, Service


class OperationsOfAll(Service):
    """Get only; like most of the real services, nothing here can be cancelled."""

    name = "operation.OperationService"

    def get(self, call: Call, request: Message) -> Message:
        return call.cloud.operations.get(request.operation_id)


SERVICES = (OperationsOfAll,)
