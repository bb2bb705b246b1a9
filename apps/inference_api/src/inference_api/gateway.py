"""The contract as Yandex API Gateway takes it: OpenAPI 3.0, and behind every path the container that serves it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from inference_api import routes
from inference_api.app import describe, new_app

VERSION = "3.0.3"
INTEGRATION = "x-yc-apigateway-integration"
NULL = {"type": "null"}


def document(container: str = "", service_account: str = "") -> dict[str, Any]:
    """What a gateway is declared with: predictions and models, and what the second protocol says
    of its server. Probes and metrics stay inside.

    `container` and `service_account` are ids, left to the declaration where they are empty; the account is whom the gateway
    calls the container as. Clients send their key as X-API-Key: in front of a container, the platform keeps `Authorization`
    for itself."""
    app: FastAPI = new_app()
    app.include_router(routes.predictions)
    app.include_router(routes.models)
    found: dict[str, Any] = _older(describe(app))
    kept = found["components"]["securitySchemes"]
    found["components"]["securitySchemes"] = {routes.API_KEY: kept[routes.API_KEY]}
    named = {"container_id": container, "service_account_id": service_account}
    behind = {"type": "serverless_containers", **{name: ident for name, ident in named.items() if ident}}
    for path in found["paths"].values():
        for operation in path.values():
            operation["security"] = [{routes.API_KEY: []}]
            operation[INTEGRATION] = dict(behind)
    return {**found, "openapi": VERSION}


def _older(node: Any) -> Any:
    """The same in the terms of OpenAPI 3.0, whose schemas know no type `null` and one example each."""
    if isinstance(node, list):
        return [_older(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {name: _older(value) for name, value in node.items()}
    if NULL in made.get("anyOf", ()):
        kinds = [kind for kind in made.pop("anyOf") if kind != NULL]
        made |= {"nullable": True, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}
    if isinstance(made.get("examples"), list):
        made["example"] = made.pop("examples")[0]
    return made
