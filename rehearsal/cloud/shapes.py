"""Copying between messages that say the same thing in different shapes, and update masks over both.

A request spells a field `x`, `x_spec`, `x_specs` where the resource says `x`, `x`, `xs`; wraps a value that the resource has
plain, or the other way round; and hands settings that the resource keeps under `user_config`."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from rehearsal.cloud.descriptors import is_map, is_wrapper
from rehearsal.cloud.errors import invalid


def counterpart(target: Descriptor, name: str) -> FieldDescriptor | None:
    """The field of `target` that a request's field feeds."""
    spellings = [
        name,
        name.removesuffix("_spec"),
        name.removesuffix("_specs") + "s",
        name.removesuffix("_specs") + "es",
    ]
    return next((target.fields_by_name[s] for s in spellings if s in target.fields_by_name), None)


def has(message: Message, field: FieldDescriptor) -> bool:
    """Whether the message carries a value for this field."""
    if field.is_repeated or not field.has_presence:
        return bool(getattr(message, field.name))
    return message.HasField(field.name)


def absorb(target: Message, source: Message) -> None:
    """Copy every field that is set in `source` and has a counterpart in `target`."""
    inner = target.DESCRIPTOR.fields_by_name.get("user_config")
    if inner is not None and inner.message_type is source.DESCRIPTOR:
        target.user_config.CopyFrom(source)
        return
    for field, _ in source.ListFields():
        found = counterpart(target.DESCRIPTOR, field.name)
        if found is not None:
            copy_field(target, found, source, field)


def copy_field(target: Message, to: FieldDescriptor, source: Message, field: FieldDescriptor) -> None:
    """Replace field `to` of `target` by field `field` of `source`; fields of foreign shape are left alone."""
    value = getattr(source, field.name)
    same_arity = to.is_repeated == field.is_repeated
    if is_map(to) and is_map(field):
        target.ClearField(to.name)
        getattr(target, to.name).MergeFrom(value)
    elif to.message_type is field.message_type and to.type == field.type and same_arity:
        _copy_equal(target, to, value)
    elif is_wrapper(field.message_type) and to.message_type is None:
        setattr(target, to.name, value.value)
    elif is_wrapper(to.message_type) and field.message_type is None:
        getattr(target, to.name).value = value
    elif to.message_type and field.message_type and same_arity and not is_map(to):
        target.ClearField(to.name)
        for item in value if field.is_repeated else [value]:
            place = getattr(target, to.name).add() if field.is_repeated else getattr(target, to.name)
            if not field.is_repeated:
                place.SetInParent()
            absorb(place, item)


def _copy_equal(target: Message, to: FieldDescriptor, value: object) -> None:
    if to.is_repeated:
        target.ClearField(to.name)
        getattr(target, to.name).extend(value)
    elif to.message_type:
        getattr(target, to.name).CopyFrom(value)
    else:
        setattr(target, to.name, value)


def apply_mask(target: Message, request: Message, path: str) -> None:
    """Make what `path` (in the request's spelling) names in `target` what the request says. Raises ApiError."""
    source, names = request, path.split(".")
    for place, name in enumerate(names):
        field = source.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise invalid(f"update_mask: unknown path {path!r}: {source.DESCRIPTOR.name} has no field {name!r}")
        inner = target.DESCRIPTOR.fields_by_name.get("user_config")
        if inner is not None and inner.message_type is source.DESCRIPTOR:
            target = target.user_config
        to = counterpart(target.DESCRIPTOR, name)
        if to is None:
            return
        deeper = field.message_type and to.message_type and not field.is_repeated
        if place == len(names) - 1 or is_map(field) or is_wrapper(field.message_type):
            if has(source, field):
                copy_field(target, to, source, field)
            else:
                target.ClearField(to.name)
            return
        if not deeper:
            raise invalid(f"update_mask: path {path!r} goes into {name!r}, which has no fields of its own")
        source, target = getattr(source, name), getattr(target, to.name)


def mentions(message: Message, ident: str) -> bool:
    """Whether any string in the message is this id."""
    for field, value in message.ListFields():
        if is_map(field):
            continue
        for item in value if field.is_repeated else [value]:
            if item == ident or (field.message_type and mentions(item, ident)):
                return True
    return False
