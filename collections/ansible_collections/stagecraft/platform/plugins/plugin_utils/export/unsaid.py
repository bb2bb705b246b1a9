"""What the API shows of a thing, somebody may have set, and no option says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from ...module_utils.declaration import Bound
from ...module_utils.protobuf import chain, is_map, is_wrapper
from .finding import Found

LONGEST = 80  # characters of a value


def unsaid(found: Found) -> list[str]:
    """`path: value` of each, sorted."""
    lost = set()
    for message, requests, options in found.backend.shown():
        rest = type(message)()
        rest.CopyFrom(message)
        for bound in [b for n, b in found.backend.bound.items() if n in options]:
            if path := bound.where.get("read"):
                clear(rest, path, bound)
        for path, text in leaves(rest):
            settable = any(chain(request, path, found.resource.noun) for request in requests)
            if settable and not filled_in(found, path, text):
                lost.add(f"{path}: {text}")
    return sorted(lost)


def filled_in(found: Found, path: str, text: str) -> bool:
    """Whether the cloud fills this in by itself: ids of its own and of its parts, and what the declaration says of it."""
    if path in ("id", found.resource.id_field) or text in found.backend.parts():
        return True
    filled = (one.partition("=") for one in found.resource.filled)
    return any(path == where and value in ("", text) for where, _, value in filled)


def clear(message: Message, path: list[Any], bound: Bound) -> None:
    """Take out of a message what an option says."""
    for step in path[:-1]:
        if step.has_presence and not message.HasField(step.name):
            return
        message = getattr(message, step.name)
    last = path[-1]
    if not bound.children or is_map(last):
        message.ClearField(last.name)
        return
    inner = getattr(message, last.name)
    for one in inner if last.is_repeated else [inner] if message.HasField(last.name) else []:
        for name, child in bound.children.items():
            way = child.where.get("read") or chain(one.DESCRIPTOR, child.field.path or name)
            if way:
                clear(one, way, child)


def leaves(message: Message, above: str = "") -> Iterator[tuple[str, str]]:
    """Everything that is set, by its path; items of a list share theirs."""
    for f, value in message.ListFields():
        path = f"{above}{f.name}"
        if is_leaf(f):
            yield path, as_text(f, value)
        else:
            for one in value if f.is_repeated else [value]:
                yield from leaves(one, f"{path}.")


def is_leaf(f: Any) -> bool:
    inner = f.message_type
    return inner is None or is_map(f) or is_wrapper(inner) or inner.full_name.startswith("google.protobuf.")


def as_text(f: Any, value: Any) -> str:
    if f.enum_type:
        names = f.enum_type.values_by_number
        text = ", ".join(names[v].name.lower() for v in (value if f.is_repeated else [value]))
    elif f.message_type and not f.is_repeated and not is_map(f):
        text = json.dumps(json_format.MessageToDict(value))
    elif f.is_repeated and not is_map(f):
        text = ", ".join(str(v) for v in value)
    else:
        text = json.dumps(dict(value)) if is_map(f) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
