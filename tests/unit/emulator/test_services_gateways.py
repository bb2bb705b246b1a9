"""API gateways and their documents."""

from __future__ import annotations

import grpc
import pytest
import yaml
from cloud_client import refused

from rehearsal.cloud import descriptors, openapi

Code = grpc.StatusCode
GATEWAY = "serverless.apigateway.v1.ApiGateway"
ANSWER = {"x-yc-apigateway-integration": {"type": "dummy", "http_code": 200, "content": {"*": "hello"}}}


def document(operation: dict, path: str = "/things", method: str = "get", **more: object) -> str:
    whole = {"responses": {"200": {"description": "ok"}}, **operation}
    head = {"openapi": "3.0.3", "info": {"title": "things", "version": "1"}}
    return yaml.safe_dump({**head, "paths": {path: {method: whole}}, **more})


def test_a_document_is_kept_as_it_was_handed_in(client, world):
    api, text = client.api(GATEWAY), document(ANSWER)
    gateway = api.Create(folder_id=client.folder, name="entry", openapi_spec=text)
    assert gateway.domain == f"{gateway.id}.apigw.yandexcloud.net" and gateway.execution_timeout.seconds == 300
    assert api.GetOpenapiSpec(api_gateway_id=gateway.id).openapi_spec == text
    for form in ("JSON", "YAML"):
        said = api.GetOpenapiSpec(api_gateway_id=gateway.id, format=form).openapi_spec
        assert yaml.safe_load(said) == yaml.safe_load(text)
    world.broken.add("put_gateway")
    other = document(ANSWER, path="/others")
    change = {"api_gateway_id": gateway.id, "openapi_spec": other, "mask": "openapi_spec"}
    refused(Code.INTERNAL, lambda: api.Update(**change), "put_gateway")
    assert api.GetOpenapiSpec(api_gateway_id=gateway.id).openapi_spec == text
    world.broken.clear()
    api.Update(**change)
    assert api.GetOpenapiSpec(api_gateway_id=gateway.id).openapi_spec == other


def test_on_and_off(client, world):
    api = client.api(GATEWAY)
    gateway = api.Create(folder_id=client.folder, name="entry", openapi_spec=document(ANSWER))
    refused(Code.FAILED_PRECONDITION, lambda: api.Resume(api_gateway_id=gateway.id), "STOPPED")
    api.Stop(api_gateway_id=gateway.id)
    assert api.Get(api_gateway_id=gateway.id).status == gateway.STOPPED
    assert api.Resume(api_gateway_id=gateway.id).status == gateway.ACTIVE
    assert world.calls == [f"put_gateway entry {status}" for status in ("CREATING", "STOPPED", "ACTIVE")]


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("a: [", Code.INVALID_ARGUMENT, "neither YAML nor JSON"),
        ("[]", Code.INVALID_ARGUMENT, "must be 3.0, not None"),
        (document(ANSWER).replace("3.0.3", "3.1.0"), Code.INVALID_ARGUMENT, "must be 3.0, not '3.1.0'"),
        (document(ANSWER, path="/{id}"), Code.INVALID_ARGUMENT, "Path parameter 'id'"),
        (document({}), Code.INVALID_ARGUMENT, "paths./things.get.x-yc-apigateway-integration: Field is required"),
        (
            document({"x-yc-apigateway-integration": {"$ref": "#/components/x-yc-apigateway-integrations/gone"}}),
            Code.INVALID_ARGUMENT,
            "Field is required",
        ),
        (document({"x-yc-apigateway-integration": {"type": "no"}}), Code.INVALID_ARGUMENT, "'no' is none of"),
        (
            document({"x-yc-apigateway-integration": {"type": "cloud_functions"}}),
            Code.INVALID_ARGUMENT,
            "not part of the emulated cloud",
        ),
        (document({"x-yc-apigateway-integration": {"type": "http"}}), Code.INVALID_ARGUMENT, ".url: Field is required"),
        (
            document({"x-yc-apigateway-integration": {"type": "serverless_containers", "container_id": "bbano"}}),
            Code.NOT_FOUND,
            "paths./things.get: Container bbano not found",
        ),
        (
            document(ANSWER, **{"x-yc-apigateway": {"service_account_id": "ajeno"}}),
            Code.NOT_FOUND,
            "ServiceAccount ajeno not found",
        ),
    ],
)
def test_documents_that_no_gateway_takes(client, text, code, says):
    create = lambda: client.api(GATEWAY).Create(folder_id=client.folder, name="entry", openapi_spec=text)  # noqa: E731
    refused(code, create, says)
    assert not client.api(GATEWAY).List(folder_id=client.folder).api_gateways


SOCKET, CORS, LIMIT = "x-yc-apigateway-websocket-connect", "x-yc-apigateway-cors", "x-yc-apigateway-rate-limit"
OUT = {"type": "http", "url": "https://example.com"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (document(ANSWER, method=SOCKET), f"paths./things.{SOCKET}"),
        (document(ANSWER, method=CORS), f"paths./things.{CORS}"),
        (document(ANSWER | {LIMIT: {"allRequests": {"rps": 1}}}), f"paths./things.get.{LIMIT}"),
        (document(ANSWER, **{"x-yc-apigateway": {"cors": {"origin": "*"}}}), "x-yc-apigateway.cors"),
        (document(ANSWER, **{"x-yc-apigateway": {"variables": {"a": {"default": 1}}}}), "x-yc-apigateway.variables"),
        (
            document(
                ANSWER,
                components={
                    "securitySchemes": {
                        "key": {"type": "http", "scheme": "bearer", "x-yc-apigateway-authorizer": {"type": "function"}}
                    }
                },
            ),
            "components.securitySchemes.key.x-yc-apigateway-authorizer",
        ),
        (
            document({openapi.INTEGRATION: {**OUT, "omitEmptyHeaders": True}}),
            f"paths./things.get.{openapi.INTEGRATION}.omitEmptyHeaders",
        ),
        (
            document({openapi.INTEGRATION: {**OUT, "headers": {"*": "*"}}}),
            f"paths./things.get.{openapi.INTEGRATION}.headers.*",
        ),
    ],
    ids=["web socket", "cors", "limit", "cors for all", "variables", "authorizer", "empty headers", "all headers"],
)
def test_what_no_gateway_here_does_is_refused_with_its_place(client, text, place):
    create = lambda: client.api(GATEWAY).Create(folder_id=client.folder, name="entry", openapi_spec=text)  # noqa: E731
    refused(Code.INVALID_ARGUMENT, create, f"openapi_spec: {place} is not part of the emulated cloud")


@pytest.mark.parametrize("account", openapi.ACCOUNTS)
@pytest.mark.parametrize("method", ["get", openapi.ANY])
def test_every_operation_has_its_integration(method, account):
    shared = {"out": OUT}
    referring = {"x-yc-apigateway-integration": {"$ref": "#/components/x-yc-apigateway-integrations/out"}}
    rest = {"parameters": [{"name": "rest", "in": "path", "required": True, "schema": {"type": "string"}}]}
    text = document(
        rest | referring,
        path="/{rest+}",
        method=method,
        components={"x-yc-apigateway-integrations": shared},
        **{"x-yc-apigateway": {account: "aje"}},
    )
    (route,) = openapi.routes(openapi.read(text))
    assert (route.path, route.method) == ("/{rest+}", method)
    assert route.integration == {"service_account_id": "aje", **shared["out"]}


def test_domains_have_a_certificate_and_one_gateway(emulator, client, world):
    api = client.api(GATEWAY)
    descriptors.service("certificatemanager.v1.CertificateService")  # which knows the message
    certificate = descriptors.new("certificatemanager.v1.Certificate")
    certificate.id, certificate.folder_id = "fpqcertificate000000", client.folder
    emulator.cloud.store.put(
        "certificatemanager.v1.Certificate", certificate.id, client.folder, "", "", certificate.SerializeToString()
    )
    (account,) = client.api("iam.v1.ServiceAccount").List(folder_id=client.folder).service_accounts
    emulator.cloud.identity.bind(client.folder, "certificate-manager.editor", "serviceAccount", account.id)
    one, two = (
        api.Create(folder_id=client.folder, name=name, openapi_spec=document(ANSWER)) for name in ("one", "two")
    )
    add = {"api_gateway_id": one.id, "domain_name": "api.example.com", "certificate_id": certificate.id}
    refused(Code.NOT_FOUND, lambda: api.AddDomain(**{**add, "certificate_id": "fpqno"}), "Certificate fpqno")
    world.calls.clear()
    api.AddDomain(**add)
    (domain,) = api.Get(api_gateway_id=one.id).attached_domains
    assert (domain.domain, domain.certificate_id, domain.enabled) == ("api.example.com", certificate.id, True)
    assert world.calls == ["put_gateway one UPDATING"]
    refused(Code.ALREADY_EXISTS, lambda: api.AddDomain(**{**add, "api_gateway_id": two.id}), "api.example.com")
    refused(Code.NOT_FOUND, lambda: api.RemoveDomain(api_gateway_id=two.id, domain_id=domain.domain_id), "Domain")
    api.RemoveDomain(api_gateway_id=one.id, domain_id=domain.domain_id)
    assert not api.Get(api_gateway_id=one.id).attached_domains
