"""Quota Manager: what the cloud may have of everything, and what it has. Nobody is asked for more here."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.errors import invalid, not_found
from rehearsal.cloud.service import Call, Service

CLOUD = "resource-manager.cloud"


class QuotaLimits(Service):
    name = "quotamanager.v1.QuotaLimitService"

    def places(self, call: Call) -> list[str]:
        """Quotas are of the whole cloud: a role on a folder is not enough."""
        return [call.cloud.cloud_id]

    def get(self, call: Call, request: Message) -> Message:
        self._check(call, request.resource)
        for row in call.cloud.quotas.listed(call.cloud):
            if row["name"] == request.quota_id:
                return self._told(call.answer(), row)
        raise not_found("QuotaLimit", request.quota_id)

    def list(self, call: Call, request: Message) -> Message:
        self._check(call, request.resource)
        answer = call.answer()
        answer.resource.CopyFrom(request.resource)
        rows = self._of(call, request.service)
        found, answer.next_page_token = listing.page(rows, request.page_size, request.page_token)
        for row in found:
            self._told(answer.quota_limits.add(), row)
        return answer

    def list_services(self, call: Call, request: Message) -> Message:
        if request.resource_type != CLOUD:
            raise invalid(f"resource_type: {request.resource_type!r}; quotas here are of a {CLOUD}")
        answer = call.answer()
        for service in dict.fromkeys(row["name"].split(".")[0] for row in call.cloud.quotas.listed(call.cloud)):
            answer.services.add(id=service, name=service)
        return answer

    def _of(self, call: Call, service: str) -> Iterator[tuple[int, dict]]:
        for number, row in enumerate(call.cloud.quotas.listed(call.cloud), 1):
            if row["name"].split(".")[0] == service:
                yield number, row

    def _check(self, call: Call, resource: Message) -> None:
        if resource.type != CLOUD:
            raise invalid(f"resource.type: {resource.type!r}; quotas here are of a {CLOUD}")
        if resource.id != call.cloud.cloud_id:
            raise not_found("Cloud", resource.id)

    def _told(self, message: Message, row: dict) -> Message:
        """A quota without a limit says none."""
        message.quota_id, message.usage.value = row["name"], row["usage"]
        if row["limit"] is not None:
            message.limit.value = row["limit"]
        return message


SERVICES = (QuotaLimits,)
