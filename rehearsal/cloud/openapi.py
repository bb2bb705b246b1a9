"""The documents of API gateways: OpenAPI 3.0 with the service's own extensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from rehearsal.cloud.errors import ApiError, invalid

INTEGRATION, TOP, ANY = "x-yc-apigateway-integration", "x-yc-apigateway", "x-yc-apigateway-any-method"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", ANY)
BIGGEST = 3_500_000  # bytes
INTEGRATIONS = "x-yc-apigateway-integrations"
SHARED = f"#/components/{INTEGRATIONS}/"
ACCOUNTS = ("service_account_id", "serviceAccountId")  # both are written
NEEDED = {"serverless_containers": ("container_id",), "http": ("url",), "dummy": ("http_code", "content")}
MORE = {
    "serverless_containers": ("service_account_id", "context"),
    "http": ("method", "headers", "query", "timeouts", "serviceAccountId"),
    "dummy": ("http_headers",),
}
ELSEWHERE = (
    "cloud_functions",
    "object_storage",
    "cloud_datasphere",
    "cloud_datastreams",
    "cloud_ymq",
    "cloud_ydb",
    "smart_web_security",
)


@dataclass(frozen=True)
class Route:
    """What answers a method (`get`, or ANY) at a path (`/things/{id}`, `/{rest+}`)."""

    path: str
    method: str
    integration: dict  # its reference followed, and the account that the whole document names filled in

    @property
    def place(self) -> str:
        return f"paths.{self.path}.{self.method}"


def read(text: str) -> dict:
    """A document, YAML or JSON. Raises INVALID_ARGUMENT where it is no OpenAPI 3.0."""
    if len(text.encode()) > BIGGEST:
        raise invalid(f"openapi_spec: the specification is larger than {BIGGEST / 1e6} MB")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise invalid(f"openapi_spec: neither YAML nor JSON: {' '.join(str(error).split())}") from None
    version = document.get("openapi") if isinstance(document, dict) else None
    if not str(version).startswith("3.0."):
        raise invalid(f"openapi_spec: the version of OpenAPI must be 3.0, not {version!r}")
    for problem in _problems(document):
        raise invalid(f"openapi_spec: {problem}")
    for place in _elsewhere(document):
        raise absent(place)
    return document


def absent(place: str) -> ApiError:
    """What a document says that nothing here would do: it is refused, because left out it would change what is served."""
    return invalid(f"openapi_spec: {place} is not part of the emulated cloud")


def _elsewhere(node: object, place: str = "") -> Iterator[str]:
    """Where a document uses an extension of the service that is not here: CORS, web sockets, authorizers, limits, checks."""
    if isinstance(node, list):
        for number, one in enumerate(node):
            yield from _elsewhere(one, f"{place}{number}.")
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        if str(name).startswith("x-yc-") and name not in (TOP, INTEGRATION, INTEGRATIONS, ANY):
            yield f"{place}{name}"
        elif name == TOP and isinstance(value, dict):
            yield from (f"{place}{name}.{option}" for option in value if option not in ACCOUNTS)
        else:
            yield from _elsewhere(value, f"{place}{name}.")


def _problems(document: dict) -> Iterator[str]:
    """What the standard does not allow. The service's paths and methods of its own are none of it."""
    from openapi_spec_validator import OpenAPIV30SpecValidator  # slow to import, and few need it

    for error in OpenAPIV30SpecValidator(_standard(document)).iter_errors():
        place = ".".join(str(step) for step in error.absolute_path)
        yield f"{place}: {error.message}" if place else error.message


def _standard(document: dict) -> dict:
    """The document with keys as text, as JSON has them, and greedy parameters `{rest+}` as plain ones."""

    def plain(node: object) -> object:
        if isinstance(node, dict):
            return {str(key): plain(value) for key, value in node.items()}
        return [plain(one) for one in node] if isinstance(node, list) else node

    found = plain(document)
    if isinstance(found.get("paths"), dict):
        found["paths"] = {path.replace("+}", "}"): item for path, item in found["paths"].items()}
    return found


def routes(document: dict) -> list[Route]:
    """Every operation of a document that `read` gave. Raises INVALID_ARGUMENT where nothing answers one."""
    top = document.get(TOP) or {}
    named = next((top[name] for name in ACCOUNTS if name in top), None)
    account = {} if named is None else {"service_account_id": named}
    found = []
    for path, item in document["paths"].items():
        for method, operation in (item or {}).items():
            if method in METHODS:
                where = f"paths.{path}.{method}.{INTEGRATION}"
                found.append(Route(path, method, account | _integration(document, operation or {}, where)))
    return found


def _integration(document: dict, operation: dict, where: str) -> dict:
    found = operation.get(INTEGRATION)
    if isinstance(found, dict) and str(found.get("$ref", "")).startswith(SHARED):
        shared = (document.get("components") or {}).get(INTEGRATIONS) or {}
        found = shared.get(found["$ref"].removeprefix(SHARED))
    if not isinstance(found, dict):
        raise invalid(f"openapi_spec: {where}: Field is required")
    kind = found.get("type")
    if kind in ELSEWHERE:
        raise absent(f"{where}.type: {kind}")
    if kind not in NEEDED:
        raise invalid(f"openapi_spec: {where}.type: {kind!r} is none of {', '.join([*NEEDED, *ELSEWHERE])}")
    for field in NEEDED[kind]:
        if not found.get(field):
            raise invalid(f"openapi_spec: {where}.{field}: Field is required")
    for field, value in found.items():
        if field not in ("type", *NEEDED[kind], *MORE[kind]):
            raise absent(f"{where}.{field}")
        if field in ("headers", "query") and "*" in value:  # everything that the caller sent
            raise absent(f"{where}.{field}.*")
    return found
