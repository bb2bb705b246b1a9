"""Endpoint discovery: every service is at this one address."""

from __future__ import annotations

from google.protobuf.message import Message
from yandexcloud._sdk import _supported_modules

from rehearsal.cloud.errors import not_found
from rehearsal.cloud.service import Call, Service

# The SDK asks for these; gitlab and monitoring are real endpoints that it does not know yet.
IDS = sorted({endpoint for _, endpoint in _supported_modules} | {"gitlab", "monitoring"})


class Endpoints(Service):
    name = "endpoint.ApiEndpointService"

    def list(self, call: Call, request: Message) -> Message:
        answer = call.answer()
        for ident in IDS:
            answer.endpoints.add(id=ident, address=call.cloud.address)
        return answer

    def get(self, call: Call, request: Message) -> Message:
        if request.api_endpoint_id not in IDS:
            raise not_found("ApiEndpoint", request.api_endpoint_id)
        answer = call.answer()
        answer.id, answer.address = request.api_endpoint_id, call.cloud.address
        return answer


SERVICES = (Endpoints,)
