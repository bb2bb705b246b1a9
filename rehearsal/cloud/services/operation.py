"""The operation service."""

from __future__ import annotations

from google.protobuf.message import Message

from rehearsal.cloud.service import Call, Service


class OperationsOfAll(Service):
    """Get and Cancel; as in the real services, few operations can be cancelled."""

    name = "operation.OperationService"

    def get(self, call: Call, request: Message) -> Message:
        return call.cloud.operations.get(request.operation_id)

    def cancel(self, call: Call, request: Message) -> Message:
        return call.cloud.operations.cancel(request.operation_id)

    def guarded(self, call: Call) -> str:
        """Who may change a resource may cancel what happens to it."""
        return f"{call.cloud.operations.job(call.request.operation_id).api}Service"

    def places(self, call: Call) -> list[str]:
        job = call.cloud.operations.job(call.request.operation_id)
        row = call.cloud.store.row(job.api, job.resource)
        return [job.resource, row.folder if row else call.cloud.folder_id, call.cloud.cloud_id]


SERVICES = (OperationsOfAll,)
