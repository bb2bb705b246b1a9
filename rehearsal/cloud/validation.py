"""Requests checked against the options that the API's protos carry: required, length, pattern, value, size, unique."""

from __future__ import annotations

import re

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from yandex.cloud import validation_pb2 as options

from rehearsal.cloud.descriptors import PREFIX, is_map
from rehearsal.cloud.errors import invalid
from rehearsal.cloud.shapes import has

# The protos call these required; the real API takes a cluster without them.
LENIENT = {
    ("mdb.postgresql.v1.CreateClusterRequest", "database_specs"),
    ("mdb.postgresql.v1.CreateClusterRequest", "user_specs"),
}
RANGE = re.compile(r"(<=|>=|<|>)?(-?[\d.]+)(?:-(-?[\d.]+))?")
COMPARE = {"<=": float.__le__, ">=": float.__ge__, "<": float.__lt__, ">": float.__gt__}


def within(spec: str, number: float) -> bool:
    """Whether a number is in a range as the protos write it: `3`, `1-50`, `<=100`, or several with commas."""
    parts = [RANGE.fullmatch(part.strip()) for part in spec.split(",")]
    for sign, low, high in (part.groups() for part in parts if part):
        if sign and COMPARE[sign](float(number), float(low)):
            return True
        if not sign and float(low) <= number <= float(high or low):
            return True
    return None in parts  # a form that numbers do not have, a date for instance, is not ours to judge


def validate(message: Message, at: str = "") -> None:
    """Check a request and everything in it. Raises ApiError naming the field."""
    masked = _masked(message)
    for field in message.DESCRIPTOR.fields:
        if masked is not None and field.index and field.name not in masked:
            continue
        name = at + field.name
        if has(message, field):
            _check(field, getattr(message, field.name), name)
        elif field.GetOptions().Extensions[options.required] and not _lenient(message, field):
            raise invalid(f"{name}: Field is required")


def _masked(message: Message) -> set[str] | None:
    """The fields that an update touches; only they are checked. None where it says nothing about it."""
    if "update_mask" not in message.DESCRIPTOR.fields_by_name or not message.update_mask.paths:
        return None
    return {path.split(".")[0] for path in message.update_mask.paths} | {"update_mask"}


def _lenient(message: Message, field: FieldDescriptor) -> bool:
    return (message.DESCRIPTOR.full_name.removeprefix(PREFIX), field.name) in LENIENT


def _check(field: FieldDescriptor, value: object, name: str) -> None:
    rules = field.GetOptions()
    many = field.is_repeated
    if many and rules.HasExtension(options.size) and not within(rules.Extensions[options.size], len(value)):
        raise invalid(f"{name}: Number of elements must be in {rules.Extensions[options.size]}")
    if many and not is_map(field) and rules.Extensions[options.unique] and len(set(value)) != len(value):
        raise invalid(f"{name}: Elements must be unique")
    if is_map(field):
        for key, item in value.items():
            _check_text(rules.Extensions[options.map_key], key, f"{name} key {key!r}")
            if isinstance(item, str):
                _check_scalar(rules, item, f"{name}.{key}")
        return
    for item in value if many else [value]:
        if field.message_type and field.message_type.full_name.startswith(PREFIX):
            validate(item, name + ".")
        elif not field.message_type and not field.enum_type:
            _check_scalar(rules, item, name)


def _check_scalar(rules: object, value: object, name: str) -> None:
    if isinstance(value, (str, bytes)):
        if rules.HasExtension(options.length) and not within(rules.Extensions[options.length], len(value)):
            raise invalid(f"{name}: Length must be in {rules.Extensions[options.length]}")
        if rules.HasExtension(options.pattern) and not re.fullmatch(rules.Extensions[options.pattern], str(value)):
            raise invalid(f"{name}: Value must match {rules.Extensions[options.pattern]!r}")
    elif rules.HasExtension(options.value) and not within(rules.Extensions[options.value], value):
        raise invalid(f"{name}: Value must be in {rules.Extensions[options.value]}")


def _check_text(rule: object, value: str, name: str) -> None:
    """The rule of a map's keys is a message with the same two words."""
    if rule.length and not within(rule.length, len(value)):
        raise invalid(f"{name}: Length must be in {rule.length}")
    if rule.pattern and not re.fullmatch(rule.pattern, value):
        raise invalid(f"{name}: Value must match {rule.pattern!r}")


def check_labels(resource: Message) -> None:
    """Labels and description, for services whose protos say nothing of them. The limits are those of their reference."""
    labels = getattr(resource, "labels", {})
    if len(labels) > 64:
        raise invalid("labels: Number of elements must be in <=64")
    for key, value in labels.items():
        if not re.fullmatch(r"[a-z][-_0-9a-z]{0,62}", key):
            raise invalid(f"labels key {key!r}: Value must match '[a-z][-_0-9a-z]*', Length must be in 1-63")
        if not re.fullmatch(r"[-_0-9a-z]{0,63}", value):
            raise invalid(f"labels.{key}: Value must match '[-_0-9a-z]*', Length must be in <=63")
    if len(getattr(resource, "description", "")) > 256:
        raise invalid("description: Length must be in <=256")
