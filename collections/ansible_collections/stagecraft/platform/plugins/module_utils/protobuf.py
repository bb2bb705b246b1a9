"""Protobuf for the engine: fields bound to descriptors, values put into messages and read back. No network here."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from yandex.cloud import validation_pb2

from .declaration import Bound, Fail, Field
from .descriptors import snake

KINDS = {
    FieldDescriptor.CPPTYPE_STRING: "str",
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_ENUM: "enum",
}
Path = list[FieldDescriptor]


# ---- descriptors ----
def is_map(f: FieldDescriptor) -> bool:
    return bool(f.message_type and f.message_type.GetOptions().map_entry)


def is_pairs(f: FieldDescriptor) -> bool:
    """A list of keys and values, which is a map for the user."""
    return bool(f.is_repeated and f.message_type and {x.name for x in f.message_type.fields} == {"key", "value"})


def is_wrapper(message: Descriptor) -> bool:
    return message.file.name == "google/protobuf/wrappers.proto"


def is_duration(message: Descriptor) -> bool:
    return message.full_name == "google.protobuf.Duration"


def is_json(message: Descriptor) -> bool:
    """Any structure, as the user writes it."""
    return message.full_name == "google.protobuf.Struct"


def is_switch(bound: Bound, f: FieldDescriptor) -> bool:
    """A message that says something by being there: a boolean for the user."""
    return bound.field.on is not None or bool(f.message_type and not f.message_type.fields)


@functools.cache
def match(message: Descriptor, name: str) -> FieldDescriptor | None:
    """x, x_spec, xs -> x_specs: the request and the resource spell the same thing differently."""
    bare = re.sub(r"_spec(s?)$", r"\1", name)
    for n in (name, bare, f"{bare}_spec", re.sub(r"s$", "_specs", bare)):
        if n in message.fields_by_name:
            return message.fields_by_name[n]
    return None


def chain(message: Descriptor, path: str, noun: str = "") -> Path | None:
    """The field descriptors that a path walks through, or None where this message has no such thing."""
    found: Path = []
    for i, name in enumerate(path.split(".")):
        f = match(message, name)
        if f is None and i == 0 and f"{noun}_spec" in message.fields_by_name:  # CreateUserRequest.user_spec.password
            found.append(message.fields_by_name[f"{noun}_spec"])
            f = match(found[0].message_type, name)
        if f is None:
            return None
        found.append(f)
        message = f.message_type
        if message and "user_config" in message.fields_by_name:  # PostgresqlConfigSet15.user_config
            found.append(message.fields_by_name["user_config"])
            message = found[-1].message_type
    return found


# ---- binding ----
def bind(
    field: Field,
    write: Descriptor,
    update: Descriptor | None,
    read: Descriptor | None,
    noun: str = "",
    nested: bool = False,
) -> Bound:
    """A field with its type and its places in the create request, the update request and the resource."""
    if field.virtual:
        return bind_virtual(field)
    path = field.path or field.name
    where = {
        "write": chain(write, path, noun),
        "update": update and chain(update, path, noun),
        "read": read and not field.via and not field.listed and chain(read, path, noun),
    }
    if where["write"] is None and path.endswith("_id"):  # security_group_id: security_group_ids
        return bind(dataclasses.replace(field, path=path + "s"), write, update, read, noun, nested)
    later = where["write"] is None and bool(where["update"])  # Create lacks it: the first update brings it
    if later:
        where["write"] = where["update"]
    if not where["write"]:
        raise Fail(f"{field.name}: {write.full_name} has no {path}")
    f = where["write"][-1]
    kind, children, choices = kind_of(field, f), {}, {}
    if kind == "dict":
        children = bind_children(field, f, where)
    elif kind == "enum":
        choices = spellings(f.enum_type)
    changeable = where["update"] or nested or field.write_only or field.create_only or field.key or field.verbs
    return Bound(
        field,
        kind,
        many=bool(f.is_repeated and kind != "map"),
        choices=choices,
        children=children,
        immutable=field.immutable or bool(field.fixed) or not changeable,
        required=field.required or bool(f.GetOptions().Extensions[validation_pb2.required]),
        choice=next(((x.containing_oneof.full_name, x.name) for x in where["write"] if x.containing_oneof), ()),
        where=where,
        later=later,
    )


def bind_virtual(field: Field) -> Bound:
    """A field that only the backend knows: its type is what the declaration says."""
    children = {f.name: bind_virtual(f) for f in field.fields}
    kind = "dict" if children else "enum" if field.choices else "bool" if field.default is False else "str"
    return Bound(
        field,
        kind,
        many=field.many,
        choices={c: c for c in field.choices},
        children=children,
        required=field.required,
        immutable=field.immutable,
    )


def bind_children(field: Field, f: FieldDescriptor, where: dict[str, Any]) -> dict[str, Bound]:
    message = f.message_type
    down = {k: c[-1].message_type if c else None for k, c in where.items()}
    if field.listed:
        down["read"] = None
    own = [x for x in message.fields if message.full_name.startswith("yandex.") and x.message_type is not message]
    subs = field.fields or [Field(x.name) for x in own]
    return {s.name: bind(s, message, down["update"], down["read"], nested=True) for s in subs}


def alternatives(bound: dict[str, Bound]) -> None:
    """Options that mean the same field of the API exclude each other."""
    for n, b in bound.items():
        path = b.field.path or n
        if sum((other.field.path or name) == path for name, other in bound.items()) > 1:
            b.choice = (f"path {path}", n)


def kind_of(field: Field, f: FieldDescriptor) -> str:
    message = f.message_type
    if field.document:
        return "document"
    if field.on is not None or (message and not message.fields):
        return "bool"
    if is_map(f) or is_pairs(f):
        return "map"
    if message and is_wrapper(message):
        return KINDS.get(message.fields[0].cpp_type, "int")
    if message and is_duration(message):
        return "int"
    if message and is_json(message):
        return "json"
    return "dict" if message else KINDS.get(f.cpp_type, "int")


def spellings(enum: Any) -> dict[str, str]:
    """Lower case, without the prefix that repeats the type's name: the user's spelling -> the API's."""
    prefix = snake(enum.name).upper() + "_"
    said = [v.name for v in enum.values if v.number or not v.name.endswith("UNSPECIFIED")]
    return {n.removeprefix(prefix).lower(): n for n in said}


# ---- plain values <-> messages ----
def put(message: Any, bound: Bound, value: Any, slot: str) -> None:
    """Set a plain value where `slot` (write or update) says. An empty value leaves it unset: the mask clears it."""
    path = bound.where[slot]
    for f in path[:-1]:
        message = getattr(message, f.name)
    f, there = path[-1], getattr(message, path[-1].name)
    if is_switch(bound, f):
        if value:
            there.SetInParent()
            json_format.ParseDict(bound.field.on or {}, there)
    elif is_map(f):
        there.update(value)
    elif is_pairs(f):
        for k, v in value.items():
            there.add(key=k, value=v)
    elif bound.kind == "document":
        setattr(message, f.name, json.dumps(value))
    elif bound.kind == "json":
        if value:
            json_format.ParseDict(value, there)
    elif f.message_type and is_wrapper(f.message_type):
        there.value = value
    elif f.message_type and is_duration(f.message_type):
        there.FromSeconds(value)
    elif f.message_type:
        put_messages(message, f, bound, value, slot)
    else:
        put_scalar(message, f, bound, value)


def put_messages(message: Any, f: FieldDescriptor, bound: Bound, value: Any, slot: str) -> None:
    there = getattr(message, f.name)
    for item in value if bound.many else [value]:
        node = there.add() if bound.many else there
        if not bound.many:
            node.SetInParent()
        for name, v in item.items():
            put(node, bound.children[name], v, slot)


def put_scalar(message: Any, f: FieldDescriptor, bound: Bound, value: Any) -> None:
    def number(v: Any) -> Any:
        if f.enum_type is None:
            return v
        return f.enum_type.values_by_name[v].number if v in f.enum_type.values_by_name else 0

    if bound.many:
        getattr(message, f.name).extend(number(v) for v in value)
    else:
        setattr(message, f.name, number(value))


def get(message: Any, path: Path, bound: Bound) -> Any:
    """The plain value at a path; None where a message on the way is not set."""
    for f in path[:-1]:
        if f.has_presence and not message.HasField(f.name):
            return None
        message = getattr(message, f.name)
    f = path[-1]
    if is_switch(bound, f):
        return message.HasField(f.name)
    if f.has_presence and not f.is_repeated and f.message_type and not message.HasField(f.name):
        return None
    value = getattr(message, f.name)
    if is_map(f):
        return dict(value)
    if is_pairs(f):
        return {p.key: p.value for p in value}
    if bound.kind == "json":
        return json_format.MessageToDict(value)
    if f.message_type and not f.is_repeated and (is_wrapper(f.message_type) or is_duration(f.message_type)):
        return value.value if is_wrapper(f.message_type) else value.seconds
    if f.message_type:
        return [get_message(v, bound) for v in value] if bound.many else get_message(value, bound)
    if f.enum_type:
        names = f.enum_type.values_by_number
        return [names[v].name for v in value] if bound.many else names[value].name
    return list(value) if bound.many else value


def get_message(message: Any, bound: Bound) -> dict[str, Any]:
    found = {}
    for n, b in bound.children.items():
        path = b.where["read"] or chain(message.DESCRIPTOR, b.field.path or n)
        if path:
            found[n] = get(message, path, b)
    return found


def dig(message: Any, path: str) -> Any:
    """network_interfaces.0.primary_v4_address.address"""
    return functools.reduce(
        lambda m, name: m[int(name)] if name.isdigit() else getattr(m, name), path.split("."), message
    )


def tidy(message: Any) -> dict[str, Any]:
    """A message as a plain dictionary: numbers stay numbers, enumerations in lower case, times as text."""

    def value(f: FieldDescriptor, v: Any) -> Any:
        if f.enum_type:
            return f.enum_type.values_by_number[v].name.lower()
        if f.message_type is None:
            return v
        return tidy(v) if f.message_type.full_name.startswith("yandex.") else json_format.MessageToDict(v)

    return {
        f.name: dict(v) if is_map(f) else [value(f, x) for x in v] if f.is_repeated else value(f, v)
        for f, v in message.ListFields()
    }
