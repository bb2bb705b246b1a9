"""Access bindings: who has which role on a resource. Mixed into the kinds that can be bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import Message
from yandex.cloud.access import access_pb2

from rehearsal.cloud import listing
from rehearsal.cloud.descriptors import operation_types
from rehearsal.cloud.errors import invalid, not_found
from rehearsal.cloud.service import Call

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud
    from rehearsal.cloud.operations import Job

SUBJECTS = ("serviceAccount", "userAccount", "federatedUser", "group", "system")
Result = access_pb2.AccessBindingsOperationResult


class Bound:
    """List, set and change by deltas, for a Kind."""

    def bound(self, cloud: Cloud, ident: str) -> Message | None:
        """The resource that roles are bound to under this id."""
        return cloud.get(self.api, ident)

    def _bound(self, call: Call, request: Message) -> Message:
        resource = self.bound(call.cloud, request.resource_id)
        if resource is None:
            raise not_found(self.title, request.resource_id)
        return resource

    def list_access_bindings(self, call: Call, request: Message) -> Message:
        resource = self._bound(call, request)
        answer = call.answer()
        found = []
        for number, (role, kind, subject) in enumerate(call.cloud.identity.bindings(self.key(resource)), 1):
            found.append((number, access_pb2.AccessBinding(role_id=role, subject={"id": subject, "type": kind})))
        bindings, answer.next_page_token = listing.page(found, request.page_size, request.page_token)
        answer.access_bindings.extend(bindings)
        return answer

    def set_access_bindings(self, call: Call, request: Message) -> Message:
        wanted = {(b.role_id, b.subject.type, b.subject.id) for b in request.access_bindings}
        there = set(call.cloud.identity.bindings(self.key(self._bound(call, request))))
        add, remove = access_pb2.ADD, access_pb2.REMOVE
        return self._change(
            call, request, [*((remove, b) for b in sorted(there - wanted)), *((add, b) for b in sorted(wanted - there))]
        )

    def update_access_bindings(self, call: Call, request: Message) -> Message:
        deltas = []
        for delta in request.access_binding_deltas:
            binding = delta.access_binding
            deltas.append((delta.action, (binding.role_id, binding.subject.type, binding.subject.id)))
        return self._change(call, request, deltas)

    def _change(self, call: Call, request: Message, deltas: list) -> Message:
        """Apply deltas at once; the operation's answer says which of them changed something."""
        resource, identity, result = self._bound(call, request), call.cloud.identity, Result()
        for action, (role, kind, subject) in deltas:
            if kind not in SUBJECTS:
                raise invalid(f"subject.type: {kind!r} is none of {', '.join(SUBJECTS)}")
            add = action == access_pb2.ADD
            if add and kind == "serviceAccount" and call.cloud.get("iam.v1.ServiceAccount", subject) is None:
                raise not_found("ServiceAccount", subject)
            change = identity.bind if add else identity.unbind
            if change(self.key(resource), role, kind, subject):
                binding = {"role_id": role, "subject": {"id": subject, "type": kind}}
                result.effective_deltas.add(action=action, access_binding=binding)
        response, _ = operation_types(call.method)
        answer = result if response is Result.DESCRIPTOR else None
        return call.operation(self, resource, "bind", answer=answer)

    def work_bind(self, cloud: Cloud, resource: Message, job: Job) -> None:
        cloud.world.sync_access(cloud)
        cloud.world.sync_serverless(cloud)
