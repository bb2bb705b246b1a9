"""Calls of the cloud's API by the real SDK, in a process of its own inside a rehearsal's internet.

gRPC makes its connections in threads that it keeps, so the whole process has to be in the network namespace."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILES = {"ApiGatewayService": "apigateway_service"}  # services whose file is not called as they are
_sdk: Any = None


class Caller:
    """The SDK in a child process. `call("vpc.v1.NetworkService.Create", name="main")` returns the finished operation's
    result, or the answer, as a dictionary; a failed operation or call raises RuntimeError with its code and text."""

    def __init__(self, netns: Path, variables: dict[str, str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn, initializer=_enter, initargs=(netns, variables))
        self.folder = variables["YC_FOLDER_ID"]

    def __call__(self, name: str, /, **request: Any) -> dict[str, Any]:
        return self._pool.submit(_call, name, request).result(timeout=180)

    def create(self, service: str, /, **request: Any) -> dict[str, Any]:
        """Create something in the stage's folder."""
        return self(f"{service}.Create", folder_id=self.folder, **request)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


def _enter(netns: Path, variables: dict[str, str]) -> None:
    global _sdk
    with netns.open() as there:
        os.setns(there.fileno(), os.CLONE_NEWNET)
    import json

    import yandexcloud

    key = json.loads(Path(variables["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())
    authority = Path(variables["YC_ROOT_CERTIFICATES"]).read_bytes()
    _sdk = yandexcloud.SDK(service_account_key=key, endpoint=variables["YC_ENDPOINT"], root_certificates=authority)


def _call(name: str, request: dict[str, Any]) -> dict[str, Any]:
    import grpc
    from google.protobuf import message_factory
    from google.protobuf.json_format import MessageToDict
    from yandex.cloud.operation.operation_pb2 import Operation

    package, service, method = name.rsplit(".", 2)
    file = f"yandex.cloud.{package}.{FILES.get(service) or re.sub(r'(?<!^)(?=[A-Z])', '_', service).lower()}"
    messages, stubs = importlib.import_module(f"{file}_pb2"), importlib.import_module(f"{file}_pb2_grpc")
    wanted = messages.DESCRIPTOR.services_by_name[service].methods_by_name[method].input_type
    client = _sdk.client(getattr(stubs, f"{service}Stub"))
    try:
        answer = getattr(client, method)(message_factory.GetMessageClass(wanted)(**request), timeout=60)
        if isinstance(answer, Operation):
            answer = _result(_finished(answer))
    except grpc.RpcError as error:
        raise RuntimeError(f"{name}: {error.code().name}: {error.details()}") from None
    return MessageToDict(answer, preserving_proto_field_name=True)


def _finished(operation: Any, seconds: float = 120) -> Any:
    """Wait for an operation; the SDK's own waiter returns an unfinished one without a word."""
    from yandex.cloud.operation.operation_service_pb2 import GetOperationRequest
    from yandex.cloud.operation.operation_service_pb2_grpc import OperationServiceStub

    operations, deadline = _sdk.client(OperationServiceStub), time.monotonic() + seconds
    while not operation.done and time.monotonic() < deadline:
        time.sleep(0.1)
        operation = operations.Get(GetOperationRequest(operation_id=operation.id), timeout=60)
    return operation


def _result(operation: Any) -> Any:
    """What an operation made. Raises RuntimeError when it failed or is not done."""
    from google.protobuf import descriptor_pool, message_factory

    if operation.HasField("error") or not operation.done:
        raise RuntimeError(f"{operation.description}: {operation.error.message or 'not done'}")
    kind = descriptor_pool.Default().FindMessageTypeByName(operation.response.TypeName())
    made = message_factory.GetMessageClass(kind)()
    operation.response.Unpack(made)
    return made


@contextmanager
def key_of(cloud: Caller, account: str, folder: Path) -> Iterator[str]:
    """The file of an authorized key of a service account, for as long as the block runs."""
    made = cloud("iam.v1.KeyService.Create", service_account_id=account)
    path = folder / "key.json"
    path.write_text(json.dumps({**made["key"], "private_key": made["private_key"]}))
    yield str(path)
    cloud("iam.v1.KeyService.Delete", key_id=made["key"]["id"])
