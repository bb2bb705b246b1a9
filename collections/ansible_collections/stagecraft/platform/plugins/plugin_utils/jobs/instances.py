"""The instances of a folder, as plain values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from yandex.cloud.compute.v1.instance_pb2 import Instance

from ...module_utils.declaration import Fail
from ...module_utils.session import Session
from ..connection import hidden

SERVICE = "compute.v1.InstanceService"
PAGE = 1000  # the API's own limit


def run(request: dict[str, Any], answers: Any) -> list[tuple[str, dict[str, Any]]]:
    """Name and facts of every instance that matches `filters`: the usual ones, and the API's fields that `fields` names."""
    answers.hide(hidden(request["connection"]))
    fields, matches = checked_fields(request.get("fields") or []), matcher(request.get("filters") or {})
    session = Session.from_options(request["connection"])
    found = [(i.name or i.id, described(i, fields)) for i in every_instance(session) if matches(i)]
    return sorted(found, key=lambda one: (one[0], one[1]["id"]))


def every_instance(session: Session) -> Iterator[Instance]:
    """All instances of the session's folder, in the API's pages."""
    return session.pages(SERVICE, folder_id=session.need_folder(), page_size=PAGE)


def checked_fields(names: list[str]) -> list[str]:
    known = list(Instance.DESCRIPTOR.fields_by_name)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1, 0)[0]
            raise Fail(f"fields: an instance has no {name!r}; did you mean {near}? Known: {', '.join(sorted(known))}")
    return names


def matcher(filters: dict[str, Any]) -> Callable[[Instance], bool]:
    """A test of one instance; raises Fail where the filters say something that nothing would match."""
    unknown = set(filters) - {"labels", "status", "name"}
    if unknown:
        raise Fail(f"filters: no such filter: {', '.join(sorted(unknown))}; there are labels, name and status")
    labels = {str(k): str(v) for k, v in (filters.get("labels") or {}).items()}
    states = filters.get("status") or []
    states = [states] if isinstance(states, str) else states
    known = [value.name.lower() for value in Instance.Status.DESCRIPTOR.values]
    for state in states:
        if str(state).lower() not in known:
            raise Fail(f"filters: an instance has no status {state!r}; there are {', '.join(known)}")
    wanted = {Instance.Status.Value(str(state).upper()) for state in states}
    try:
        pattern = re.compile(filters.get("name") or ".*")
    except re.error as error:
        raise Fail(f"filters: name: {filters['name']!r} is not a regular expression: {error}") from None

    def matches(instance: Instance) -> bool:
        return (
            all(instance.labels.get(k) == v for k, v in labels.items())
            and (not wanted or instance.status in wanted)
            and pattern.fullmatch(instance.name) is not None
        )

    return matches


def described(instance: Instance, fields: list[str]) -> dict[str, Any]:
    interfaces = instance.network_interfaces
    address = interfaces[0].primary_v4_address if interfaces else None
    everything = plain(instance) if fields else {}
    return {
        **{name: everything.get(name) for name in fields},
        "id": instance.id,
        "zone": instance.zone_id,
        "labels": dict(instance.labels),
        "status": Instance.Status.Name(instance.status).lower(),
        "private_ip": address.address if address else "",
        "public_ip": address.one_to_one_nat.address if address else "",
    }


def plain(message: Message) -> dict[str, Any]:
    """What is set in a message: enumerations in lower case, times as text."""
    out: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            out[field.name] = dict(value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            one = _time if field.message_type.full_name.startswith("google.protobuf.") else plain
            out[field.name] = [one(v) for v in value] if field.is_repeated else one(value)
        elif field.type == FieldDescriptor.TYPE_ENUM:
            names = field.enum_type.values_by_number
            out[field.name] = [names[v].name.lower() for v in value] if field.is_repeated else names[value].name.lower()
        else:
            out[field.name] = list(value) if field.is_repeated else value
    return out


def _time(message: Message) -> Any:
    return message.ToJsonString() if hasattr(message, "ToJsonString") else getattr(message, "value", None)
