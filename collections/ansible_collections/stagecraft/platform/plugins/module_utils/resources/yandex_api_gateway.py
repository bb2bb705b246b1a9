"""API Gateway."""

from __future__ import annotations

from typing import Any

from ..declaration import Fail
from ..serverless_limits import timeout
from ..values import document
from ..yandex import Field, Ref, Resource, Yandex
from .yandex_certificatemanager import CERTIFICATE
from .yandex_iam import SERVICE_ACCOUNT
from .yandex_serverless import CONTAINER, LOG_OPTIONS
from .yandex_vpc import NETWORK

AIMS = {"container": "container_id", "service_account": "service_account_id"}  # option -> field of an integration
KIND = "serverless_containers"  # of integrations that call a container
TIMEOUT = 600  # seconds


class Gateways(Yandex):
    """The document is read by a method of its own, and domains are attached one at a time."""

    def wrong(self, params: dict) -> list[str]:
        found = timeout("execution_timeout", params.get("execution_timeout"), TIMEOUT)
        if params.get("openapi") is None:
            return found + [f"{n}: it is for the document: give openapi too" for n in AIMS if params.get(n)]
        try:
            said = document("openapi", params["openapi"])
        except Fail as error:
            return [*found, str(error)]
        version = said.get("openapi")
        if not str(version).startswith("3.0."):
            found.append(f"openapi: API Gateway takes OpenAPI 3.0, and this document says {version!r}")
        return found

    def examine(self, wanted: dict, have: dict) -> None:
        if "openapi" in wanted:
            wanted["openapi"] = aimed(wanted["openapi"], wanted)
            have["openapi"] = self.document()
        have |= {n: wanted[n] for n in AIMS if n in wanted}

    def document(self) -> dict[str, Any]:
        """The document that it answers by."""
        return document(
            "openapi", self.call("GetOpenapiSpec", self.request("GetOpenapiSpec", format="JSON")).openapi_spec
        )

    def closer(self, have: dict) -> dict[str, Any]:
        """What all integrations agree on is an option, and the document says nothing of it."""
        said = self.document()
        common = {n: next(iter(found)) for n, f in AIMS.items() if len(found := aims(said, f)) == 1 and "" not in found}
        return super().closer(have) | common | {"openapi": unaimed(said, {AIMS[n] for n in common})}

    def have(self) -> dict[str, Any]:
        attached = [{"name": d.domain, "certificate": d.certificate_id} for d in self.raw.attached_domains]
        return super().have() | {"domains": attached}

    # ---- change ----
    def create(self, wanted: dict) -> None:
        own = {n: v for n, v in wanted.items() if n != "domains"}
        super().create({**own, "openapi": aimed(wanted["openapi"], wanted)})
        if wanted.get("domains"):
            self.attach(wanted["domains"])

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        own = [n for n in changed if n != "domains"]
        if own:
            super().update(wanted, own)
        if "domains" in changed:
            self.attach(wanted["domains"])

    def attach(self, domains: list[dict]) -> None:
        """Have exactly these domains. One whose certificate is another one is taken off first."""
        wanted = {d["name"]: d["certificate"] for d in domains}
        for there in self.raw.attached_domains:
            if wanted.get(there.domain) == there.certificate_id:
                del wanted[there.domain]
            else:
                self.call("RemoveDomain", self.request("RemoveDomain", domain_id=there.domain_id))
        for name, certificate in wanted.items():
            self.call("AddDomain", self.request("AddDomain", domain_name=name, certificate_id=certificate))
        self.look()


def aimed(node: Any, wanted: dict) -> Any:
    """A document in which the integrations that name no container, or no account, call those that `wanted` names."""
    if isinstance(node, list):
        return [aimed(one, wanted) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: aimed(value, wanted) for key, value in node.items()}
    if found.get("type") == KIND:
        found = {f: wanted[n] for n, f in AIMS.items() if wanted.get(n)} | found
    return found


def aims(node: Any, name: str) -> set[str]:
    """What integrations that call a container say under a name; empty text for one that says nothing."""
    if isinstance(node, list):
        return {aim for one in node for aim in aims(one, name)}
    if not isinstance(node, dict):
        return set()
    own = {node.get(name, "")} if node.get("type") == KIND else set()
    return own | {aim for value in node.values() for aim in aims(value, name)}


def unaimed(node: Any, names: set[str]) -> Any:
    """A document without these names in integrations that call a container."""
    if isinstance(node, list):
        return [unaimed(one, names) for one in node]
    if not isinstance(node, dict):
        return node
    left_out = names if node.get("type") == KIND else set()
    return {key: unaimed(value, names) for key, value in node.items() if key not in left_out}


GATEWAY = Resource(
    "serverless.apigateway.v1.ApiGateway",
    module="yc_api_gateway",
    backend=Gateways,
    fields=(
        Field(
            "openapi",
            "The document, OpenAPI 3.0 as YAML, JSON or a mapping; compared by what it says. "
            "C(x-yc-apigateway-integration) says what answers an operation.",
            "openapi_spec",
            document=True,
            required=True,
        ),
        Ref(
            "container",
            CONTAINER,
            "Name of the serverless container that integrations of the type C(serverless_containers) call where they "
            "name no C(container_id).",
            virtual=True,
        ),
        Ref(
            "service_account",
            SERVICE_ACCOUNT,
            "Name of the service account that they call it as where they name no C(service_account_id); it needs "
            "the role C(serverless-containers.containerInvoker) on the container.",
            virtual=True,
        ),
        Ref("network", NETWORK, "Name of the network that it can reach.", "connectivity.network_id"),
        Field("execution_timeout", "How long a request may take, up to 10m.", unit="duration"),
        LOG_OPTIONS,
        Field(
            "domains",
            "Names of its own that it answers to, beside the one that the cloud gives it.",
            virtual=True,
            many=True,
            fields=(
                Field("name", "The name.", required=True, virtual=True),
                Ref("certificate", CERTIFICATE, required=True, virtual=True),
            ),
        ),
    ),
    example="""
name: api
openapi: "{{ lookup('ansible.builtin.file', 'openapi.yaml') }}"
container: api
service_account: gateway
execution_timeout: 30s
domains: [{name: api.example.com, certificate: api}]
""",
)
