"""One request to an API gateway: the operation that its document has for it, and what that integrates."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from starlette.requests import Request
from starlette.responses import Response

from rehearsal.serverless import invoke, resolver, routing
from rehearsal.serverless.invoke import Refused

if TYPE_CHECKING:
    from rehearsal.cloud.metadata import Grant
    from rehearsal.serverless.served import Gateway, Served

CONTEXT = b"x-yc-apigateway-operation-context"
HOP = frozenset(("connection", "transfer-encoding", "keep-alive", "content-length", "content-encoding"))
TIMEOUT = 30.0  # seconds for an http integration that says nothing else


class Gateways:
    """Answers for the gateways that are served now. `authority` is whom http integrations trust."""

    def __init__(self, served: Callable[[], Served], grant: Grant, invoker: invoke.Invoker, authority: Path) -> None:
        self._served, self._grant, self._invoke, self._authority = served, grant, invoker, authority

    async def __call__(self, gateway: Gateway, request: Request) -> Response:
        """The answer. Raises Refused."""
        try:
            found = routing.find(gateway.routes, request.method, request.url.path)
        except routing.MethodNotAllowed:
            raise Refused(405, f"Method {request.method} is not allowed for {request.url.path}") from None
        if found is None:
            raise Refused(404, f"The API gateway has no path for {request.url.path}")
        parameters = {**dict(request.query_params), **found.parameters}
        integration = routing.fill(found.integration, parameters)
        if integration["type"] == "serverless_containers":
            return await self._container(gateway, integration, request)
        if integration["type"] == "http":
            return await self._http(gateway, integration, request)
        return _dummy(integration, request)

    async def _container(self, gateway: Gateway, integration: dict[str, Any], request: Request) -> Response:
        """As the integration's service account; without one only what is public."""
        container = self._served().containers.get(integration["container_id"])
        if container is None:
            raise Refused(404, f"Container {integration['container_id']} does not exist")
        context = integration.get("context")
        more = [(CONTEXT, base64.b64encode(json.dumps(context).encode()))] if context is not None else []
        account = integration.get("service_account_id", "")
        return await self._invoke(container, account, request, timeout=gateway.timeout, more=more)

    async def _http(self, gateway: Gateway, integration: dict[str, Any], request: Request) -> Response:
        """The original headers and query go along only where the document says so."""
        limits = integration.get("timeouts", {})
        timeout = httpx.Timeout(gateway.timeout or TIMEOUT, **{k: float(v) for k, v in limits.items()})
        headers = {name: _one(value) for name, value in integration.get("headers", {}).items()}
        if account := integration.get("serviceAccountId"):
            headers["Authorization"] = f"Bearer {self._grant(account)[0]}"
        body, url = await invoke.body_of(request), httpx.URL(integration["url"])
        trusted = ssl.create_default_context(cafile=self._authority)
        try:
            address = await asyncio.to_thread(resolver.resolve, url.host)
            async with httpx.AsyncClient(verify=trusted, timeout=timeout, trust_env=False) as client:
                answer = await client.request(
                    integration.get("method", request.method).upper(),
                    url.copy_with(host=address),
                    params=integration.get("query"),
                    headers={"Host": url.netloc.decode(), **headers},
                    content=body,
                    extensions={"sni_hostname": url.host},
                )
        except httpx.TimeoutException:
            raise invoke.ours(504, f"{integration['url']} did not answer in time") from None
        except (httpx.HTTPError, OSError) as error:
            raise invoke.ours(502, f"{integration['url']}: {error!r}") from None
        kept = {name: value for name, value in answer.headers.items() if name not in HOP}
        return Response(answer.content, answer.status_code, kept)


def _one(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _dummy(integration: dict[str, Any], request: Request) -> Response:
    """The static answer of the type that the caller accepts, else the one for `*`, else the first."""
    contents: dict[str, str] = integration.get("content", {})
    accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")]
    kind = next((kind for kind in accepted if kind in contents), "*" if "*" in contents else next(iter(contents), ""))
    headers = {name: _one(value) for name, value in integration.get("http_headers", {}).items()}
    if kind not in ("", "*"):
        headers.setdefault("Content-Type", kind)
    return Response(contents.get(kind, ""), int(integration.get("http_code", 200)), headers)
