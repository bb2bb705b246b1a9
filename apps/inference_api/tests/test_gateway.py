"""The document for an API gateway: valid, complete, and true of the service that runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

from bucket import Bucket
from process import KEY, Api, command

BEHIND = {"type": "serverless_containers", "container_id": "bba-container", "service_account_id": "aje-account"}
INSIDE = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(command({}, "gateway", "bba-container", "aje-account").stdout)
    return made


def test_it_is_an_openapi_document_with_the_container_behind_every_path(document: dict[str, Any]) -> None:
    OpenAPIV30SpecValidator(document).validate()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert all(operation["x-yc-apigateway-integration"] == BEHIND for operation in operations)
    assert all(operation["security"] == [{"ApiKey": []}] for operation in operations)
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-api-key")
    assert '"null"' not in json.dumps(document)


def test_it_has_what_clients_use_and_is_true(document: dict[str, Any], alone: Api, published: Bucket) -> None:
    alone.start().ready()
    served = alone.client.get("/openapi.json").json()["paths"]
    assert document["paths"].keys() == served.keys() - INSIDE
    headers = {"authorization": "", "x-api-key": KEY}
    row = {"inputs": [[1.0] * 64]}
    tensor = {"name": "image", "shape": [1, 64], "datatype": "FP32", "data": [1.0] * 64}
    cases = [
        ("/v1/predict/{model}", {"model": "digits"}, row),
        ("/v1/predict/{model}", {"model": "nobody"}, row),
        ("/v2/models/{model}/infer", {"model": "digits"}, {"inputs": [tensor]}),
        ("/v2/models/{model}/versions/{version}/infer", {"model": "digits", "version": "2"}, {"inputs": [tensor]}),
    ]
    for path, names, body in cases:
        operation = document["paths"][path]["post"]
        sent = next(iter(operation["requestBody"]["content"].values()))["schema"]
        OAS30Validator({**sent, "components": document["components"]}).validate(body)
        answer = alone.client.post(path.format(**names), json=body, headers=headers)
        content = operation["responses"][str(answer.status_code)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]
        OAS30Validator({**schema, "components": document["components"]}).validate(answer.json())
        assert answer.status_code == (404 if "nobody" in names.values() else 200)
