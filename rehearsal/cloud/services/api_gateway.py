"""API Gateway: gateways, their documents, and the domains that are attached to them."""

from __future__ import annotations

import json

import yaml
from google.protobuf.message import Message

from rehearsal.cloud import openapi
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import REFERENCES, Cloud
from rehearsal.cloud.errors import exists, invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call, new_id
from rehearsal.places import GATEWAYS

GATEWAY = "serverless.apigateway.v1.ApiGateway"
DOMAINS = 20  # of one gateway
TIMEOUT, LONGEST_TIMEOUT = 300, 600  # seconds


class ApiGateway(Bound, Kind):
    """The document is no field of the resource: it is kept in the facts, with the one before while an update runs."""

    api = GATEWAY
    prefix = "d5d"

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        if not request.openapi_spec:
            raise invalid("openapi_spec: Field is required")
        resource.domain = f"{resource.id}.{GATEWAYS}"
        self._check(resource)
        self._check_document(call, request.openapi_spec)
        self.save(call.cloud, resource)
        call.cloud.facts(GATEWAY, resource.id)["openapi"] = request.openapi_spec

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check(resource)
        if "openapi_spec" not in self.paths(request):
            return
        self._check_document(call, request.openapi_spec)
        facts = call.cloud.facts(GATEWAY, resource.id)
        facts["before"] = facts["openapi"]
        facts["openapi"] = request.openapi_spec

    def _check(self, gateway: Message) -> None:
        if not gateway.execution_timeout.ToNanoseconds():
            gateway.execution_timeout.FromSeconds(TIMEOUT)
        if not 0 < gateway.execution_timeout.ToSeconds() <= LONGEST_TIMEOUT:
            raise invalid(f"execution_timeout: Value must be in 0s-{LONGEST_TIMEOUT}s")

    def _check_document(self, call: Call, text: str) -> None:
        """It is one, and the containers and accounts that it names are there; whoever hands it in may use the accounts."""
        cloud = call.cloud
        for route in openapi.routes(openapi.read(text)):
            for field in ("container_id", "service_account_id"):
                named = route.integration.get(field, "")
                if named and cloud.get(REFERENCES[field], str(named)) is None:
                    error = not_found(REFERENCES[field].rpartition(".")[2], str(named))
                    error.message = f"openapi_spec: {route.place}: {error.message}"
                    raise error
            account = route.integration.get("service_account_id", "")
            if account:
                places = (account, cloud.folder_id, cloud.cloud_id)
                cloud.identity.authorize(call.principal, "iam.v1.ServiceAccountService", "use", *places)

    def get_openapi_spec(self, call: Call, request: Message) -> Message:
        """The document as it was handed in, or as JSON or YAML."""
        gateway, answer = self.find(call, request), call.answer()
        text = call.cloud.facts(GATEWAY, gateway.id)["openapi"]
        wanted = request.Format.Name(request.format)
        if wanted == "JSON":
            text = json.dumps(yaml.safe_load(text))
        elif wanted == "YAML":
            text = yaml.safe_dump(yaml.safe_load(text), sort_keys=False)
        answer.api_gateway_id, answer.openapi_spec = gateway.id, text
        return answer

    # ---- on and off ----
    def stop(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "ACTIVE", "stop")

    def resume(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "STOPPED", "resume")

    def _power(self, call: Call, request: Message, needs: str, verb: str) -> Message:
        gateway = self.find(call, request)
        self.check_idle(call, gateway)
        status = gateway.Status.Name(gateway.status)
        if status != needs:
            raise refused(f"ApiGateway {gateway.id} is {status}; only one that is {needs} can {verb}")
        return call.operation(self, gateway, verb, before=gateway)

    # ---- domains ----
    def add_domain(self, call: Call, request: Message) -> Message:
        gateway = self.find(call, request)
        self.check_idle(call, gateway)
        call.cloud.check_references(request)
        if not request.domain_name:
            raise invalid("domain_name: Field is required")
        if any(d.domain == request.domain_name for other in call.cloud.all(GATEWAY) for d in other.attached_domains):
            raise exists(f"Domain {request.domain_name} is attached already")
        if len(gateway.attached_domains) == DOMAINS:
            raise refused(f"ApiGateway {gateway.id} has {DOMAINS} domains, which is all that it can have")
        before = self._copy(gateway)
        certificate = {"certificate_id": request.certificate_id, "domain": request.domain_name}
        gateway.attached_domains.add(domain_id=new_id(self.prefix), enabled=True, **certificate)
        return self._changed(call, gateway, before)

    def remove_domain(self, call: Call, request: Message) -> Message:
        gateway = self.find(call, request)
        self.check_idle(call, gateway)
        left = [d for d in gateway.attached_domains if d.domain_id != request.domain_id]
        if len(left) == len(gateway.attached_domains):
            raise not_found("Domain", request.domain_id)
        before = self._copy(gateway)
        gateway.ClearField("attached_domains")
        gateway.attached_domains.extend(left)
        return self._changed(call, gateway, before)

    def _copy(self, gateway: Message) -> Message:
        return type(gateway).FromString(gateway.SerializeToString())

    def _changed(self, call: Call, gateway: Message, before: Message) -> Message:
        self.set_status(gateway, "UPDATING")
        self.save(call.cloud, gateway)
        return call.operation(self, gateway, "update", before=before)

    # ---- the World ----
    def work_create(self, cloud: Cloud, gateway: Message, job: Job) -> None:
        cloud.world.put_gateway(cloud, gateway)

    work_update = work_create

    def work_stop(self, cloud: Cloud, gateway: Message, job: Job) -> None:
        """The cloud says it before the World is asked, which reads it there."""
        gateway.status = gateway.STOPPED if job.verb == "stop" else gateway.ACTIVE
        self.save(cloud, gateway)
        cloud.world.put_gateway(cloud, gateway)

    work_resume = work_stop

    def work_delete(self, cloud: Cloud, gateway: Message, job: Job) -> None:
        cloud.world.delete_gateway(cloud, gateway)

    def settle(self, cloud: Cloud, job: Job) -> Message | None:
        answer = super().settle(cloud, job)
        facts = cloud.facts(GATEWAY, job.resource)
        if "before" in facts:
            del facts["before"]
        return answer

    def undo(self, cloud: Cloud, job: Job) -> None:
        """A document that could not be served is not kept."""
        super().undo(cloud, job)
        gateway = cloud.get(GATEWAY, job.resource)
        if gateway is None:
            return
        facts = cloud.facts(GATEWAY, gateway.id)
        if "before" in facts:
            facts["openapi"] = facts["before"]
            del facts["before"]
        cloud.world.put_gateway(cloud, gateway)


SERVICES = (ApiGateway,)
