"""What the SDK's protobuf descriptors say: services, methods, messages, the types of an operation's answer.

APIs are named without their common prefix: `vpc.v1.Subnet`, `vpc.v1.SubnetService.Create`."""

from __future__ import annotations

import functools
import importlib
import re

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from yandex.cloud.api import operation_pb2

PREFIX = "yandex.cloud."
POOL = descriptor_pool.Default()
ODD_FILES = {"ApiGateway": "apigateway"}  # services whose file is not called after them


def snake(name: str) -> str:
    """RouteTable -> route_table, UpdateRules -> update_rules."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


@functools.cache
def service(name: str) -> ServiceDescriptor:
    """The descriptor of a service; imports only its own package. Raises KeyError for one that the SDK lacks."""
    try:
        importlib.import_module(f"{home(name)}_pb2")
    except ModuleNotFoundError as error:
        raise KeyError(name) from error
    return POOL.FindServiceByName(PREFIX + name)


def home(service: str) -> str:
    """The SDK's module of a service, without what it ends with: `_pb2`, `_pb2_grpc`."""
    package, _, noun = service.removesuffix("Service").rpartition(".")
    return f"{PREFIX}{package}.{ODD_FILES.get(noun) or snake(noun)}_service"


def short(descriptor: Descriptor | MethodDescriptor | ServiceDescriptor) -> str:
    return descriptor.full_name.removeprefix(PREFIX)


def message_type(api: str) -> Descriptor:
    """The descriptor of a message whose service has been imported. Raises KeyError."""
    return POOL.FindMessageTypeByName(PREFIX + api)


def new(descriptor: Descriptor | str) -> Message:
    """An empty message."""
    found = message_type(descriptor) if isinstance(descriptor, str) else descriptor
    return message_factory.GetMessageClass(found)()


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def is_wrapper(descriptor: Descriptor | None) -> bool:
    """Int64Value and the other boxes around one value."""
    return descriptor is not None and descriptor.file.name == "google/protobuf/wrappers.proto"


def is_text(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING


def _resolve(name: str, scope: str) -> Descriptor | None:
    """Protobuf's relative lookup: the innermost package that knows the name."""
    while name:
        try:
            return POOL.FindMessageTypeByName(f"{scope}.{name}" if scope else name)
        except KeyError:
            if not scope:
                return None
            scope = scope.rpartition(".")[0]
    return None


@functools.cache
def operation_types(method: MethodDescriptor) -> tuple[Descriptor | None, Descriptor | None]:
    """What the finished operation of a method carries: the types of its response and metadata."""
    option = method.GetOptions().Extensions[operation_pb2.operation]
    package = method.containing_service.file.package
    return _resolve(option.response, package), _resolve(option.metadata, package)
