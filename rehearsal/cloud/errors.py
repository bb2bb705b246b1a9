"""Refusals of the API: a gRPC code, one sentence, and sometimes details."""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

Code = grpc.StatusCode


class ApiError(Exception):
    """What a call or an operation ends with when the cloud says no."""

    def __init__(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details  # of a google.rpc.Status

    def status(self) -> Status:
        """The refusal as the API sends it."""
        found = Status(code=self.code.value[0], message=self.message)
        for detail in self.details:
            packed = Any()
            packed.Pack(detail)
            found.details.append(packed)
        return found


def invalid(message: str) -> ApiError:
    """The request itself is wrong."""
    return ApiError(Code.INVALID_ARGUMENT, message)


def not_found(what: str, ident: str) -> ApiError:
    """Nothing has this id or name."""
    return ApiError(Code.NOT_FOUND, f"{what} {ident} not found")


def exists(message: str) -> ApiError:
    """The name or address is taken."""
    return ApiError(Code.ALREADY_EXISTS, message)


def refused(message: str) -> ApiError:
    """The state of the resource does not allow it."""
    return ApiError(Code.FAILED_PRECONDITION, message)


def code_of(name: str) -> grpc.StatusCode:
    """UNAVAILABLE and its like, by name. Raises ValueError with the possible names."""
    try:
        return Code[name.upper()]
    except KeyError:
        raise ValueError(f"{name} is no gRPC code; one of: {', '.join(c.name for c in Code)}") from None
