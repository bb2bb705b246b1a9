"""What the SDK's descriptors say of services: where they are, what they can do, and what is sent to them."""

from __future__ import annotations

import functools
import importlib
import re
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor

from .services import HOMES


def new(descriptor: Descriptor, **values: Any) -> Any:
    """An empty message of a type, or one with these values."""
    return message_factory.GetMessageClass(descriptor)(**values)


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def home(service: str) -> str:
    """The SDK's module of a service."""
    return HOMES.get(service) or usual_home(service)


def usual_home(service: str) -> str:
    """Where nearly all are: vpc.v1.SubnetService is in yandex.cloud.vpc.v1.subnet_service_pb2."""
    package, name = service.removesuffix("Service").rpartition(".")[::2]
    return f"yandex.cloud.{package}.{snake(name)}_service_pb2"


@functools.cache
def methods(service: str) -> Any:
    return (
        importlib.import_module(home(service)).DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods_by_name
    )
