"""Which operation of an API gateway answers a request: of the paths that fit, the most exact that has the method."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from rehearsal.cloud.openapi import ANY

if TYPE_CHECKING:
    from rehearsal.serverless.served import Route

PARAMETER = re.compile(r"\{([\w-]+)(\+?)\}")


@dataclass(frozen=True)
class Found:
    """The operation for a request, with the values of the parameters in its path."""

    integration: dict[str, Any]
    parameters: dict[str, str]


class MethodNotAllowed(Exception):
    """There is the path, and not for this method."""


def find(routes: Iterable[Route], method: str, path: str) -> Found | None:
    """The operation for a method and a path; None where there is no such path. Raises MethodNotAllowed."""
    fitting = [(route, values) for route in routes if (values := _match(route.path, path)) is not None]
    if not fitting:
        return None
    asked = [(route, values) for route, values in fitting if route.method in (method.lower(), ANY)]
    if not asked:
        raise MethodNotAllowed
    route, values = min(asked, key=lambda pair: (_precision(pair[0].path), pair[0].method == ANY))
    return Found(route.integration, values)


def fill(template: Any, parameters: dict[str, str]) -> Any:
    """Put parameters where `{name}` stands, in texts and in what texts are in."""
    if isinstance(template, str):
        return PARAMETER.sub(lambda found: parameters.get(found[1], found[0]), template)
    if isinstance(template, dict):
        return {key: fill(value, parameters) for key, value in template.items()}
    return [fill(item, parameters) for item in template] if isinstance(template, list) else template


def _precision(template: str) -> list[int]:
    """Sorts the more exact first, segment by segment: a text, then a parameter, then a greedy one."""
    kinds = [PARAMETER.search(segment) for segment in template.strip("/").split("/")]
    return [(2 if kind[2] else 1) if kind else 0 for kind in kinds]


def _match(template: str, path: str) -> dict[str, str] | None:
    """The values of a template's parameters in a path; a greedy one takes the rest of it, also an empty one."""
    pattern, names, end = "", [], 0
    for found in PARAMETER.finditer(template):
        pattern += re.escape(template[end : found.start()]) + ("(.*)" if found[2] else "([^/]+)")
        names.append(found[1])
        end = found.end()
    match = re.fullmatch(pattern + re.escape(template[end:]), path)
    return dict(zip(names, map(unquote, match.groups()), strict=True)) if match else None
