"""The real SDK in front of an emulator: short calls, so that a test says what it means."""

from __future__ import annotations

import importlib
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yandexcloud
from google.protobuf import message_factory
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from yandex.cloud.operation import operation_service_pb2, operation_service_pb2_grpc

from rehearsal.cloud.descriptors import home, new, operation_types, service

PATIENCE = 20.0  # seconds that an operation may take before a test gives up
GIB = 1 << 30


class Failed(Exception):
    """The call, or its operation, ended with this code."""

    def __init__(self, code: grpc.StatusCode, message: str, *, operation: bool) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message, self.operation = code, message, operation


def refused(code: grpc.StatusCode, call: Callable[[], Any], *words: str) -> Failed:
    """The call must end with this code and say these words."""
    with pytest.raises(Failed) as caught:
        call()
    assert caught.value.code is code, caught.value
    assert all(word in caught.value.message for word in words), caught.value
    return caught.value


class Api:
    """One service: `Api(client, "vpc.v1.Network").Create(name="main")` waits for the operation and gives its response."""

    def __init__(self, client: Client, api: str) -> None:
        noun = api.rpartition(".")[2]
        stubs = importlib.import_module(f"{home(f'{api}Service')}_pb2_grpc")
        self.client, self.methods = client, service(f"{api}Service").methods_by_name
        self.stub = client.sdk.client(getattr(stubs, f"{noun}ServiceStub"))

    def start(self, name: str, /, *, idempotency_key: str = "", **values: Any) -> Message:
        """The bare answer of a method. Raises Failed."""
        if "mask" in values:
            values["update_mask"] = FieldMask(paths=values.pop("mask").split(","))
        request = message_factory.GetMessageClass(self.methods[name].input_type)(**values)
        try:
            return getattr(self.stub, name)(
                request, metadata=(("idempotency-key", idempotency_key),) if idempotency_key else None
            )
        except grpc.RpcError as error:
            raise Failed(error.code(), error.details(), operation=False) from None

    def __getattr__(self, name: str) -> Any:
        def call(**values: Any) -> Message:
            answer = self.start(name, **values)
            if self.methods[name].output_type.name != "Operation":
                return answer
            return self.client.result(answer, operation_types(self.methods[name])[0])

        return call


class Client:
    """An SDK that points at an emulator."""

    def __init__(self, env: dict[str, str], **credentials: Any) -> None:
        if not credentials:
            credentials = {"service_account_key": json.loads(Path(env["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())}
        roots = Path(env["YC_ROOT_CERTIFICATES"]).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.sdk = yandexcloud.SDK(endpoint=env["YC_ENDPOINT"], root_certificates=roots, **credentials)
        self.folder, self.cloud = env["YC_FOLDER_ID"], env["YC_CLOUD_ID"]

    def api(self, name: str) -> Api:
        return Api(self, name)

    def operation(self, ident: str) -> Message:
        stub = self.sdk.client(operation_service_pb2_grpc.OperationServiceStub)
        return stub.Get(operation_service_pb2.GetOperationRequest(operation_id=ident))

    def result(self, operation: Message, kind: Any) -> Message:
        """Wait for an operation; its response. Raises Failed."""
        end = time.monotonic() + PATIENCE
        while not operation.done:
            assert time.monotonic() < end, f"operation {operation.id} does not end"
            time.sleep(0.01)
            operation = self.operation(operation.id)
        if operation.HasField("error"):
            code = next(c for c in grpc.StatusCode if c.value[0] == operation.error.code)
            raise Failed(code, operation.error.message, operation=True)
        response = new(kind)
        assert operation.response.Unpack(response), f"{operation.response.type_url} is no {kind.full_name}"
        return response

    # ---- what many tests need ----
    def network(self, name: str = "main") -> Message:
        return self.api("vpc.v1.Network").Create(folder_id=self.folder, name=name)

    def subnet(self, network: Message, block: str = "10.1.0.0/24", zone: str = "ru-central1-a", **more: Any) -> Message:
        values = {
            "folder_id": self.folder,
            "network_id": network.id,
            "zone_id": zone,
            "v4_cidr_blocks": [block],
            **more,
        }
        return self.api("vpc.v1.Subnet").Create(**values)

    def instance_values(self, subnet: Message, name: str = "", nat: dict | None = None, **more: Any) -> dict[str, Any]:
        """The values of a small instance's create request."""
        images = self.api("compute.v1.Image")
        image = images.GetLatestByFamily(folder_id="standard-images", family="debian-12")
        interface = {
            "subnet_id": subnet.id,
            "primary_v4_address_spec": {"one_to_one_nat_spec": nat} if nat is not None else {},
        }
        return {
            "folder_id": self.folder,
            "name": name,
            "zone_id": subnet.zone_id,
            "platform_id": "standard-v3",
            "resources_spec": {"cores": 2, "memory": 2 * GIB},
            "boot_disk_spec": {"auto_delete": True, "disk_spec": {"size": 10 * GIB, "image_id": image.id}},
            "network_interface_specs": [interface],
            **more,
        }

    def instance(self, subnet: Message, name: str = "", nat: dict | None = None, **more: Any) -> Message:
        return self.api("compute.v1.Instance").Create(**self.instance_values(subnet, name, nat, **more))

    def cluster(self, network: Message, subnet: Message, **more: Any) -> Message:
        resources = {"resource_preset_id": "s3-c2-m8", "disk_type_id": "network-ssd", "disk_size": 10 * GIB}
        values = {
            "folder_id": self.folder,
            "name": "pg",
            "environment": "PRODUCTION",
            "network_id": network.id,
            "config_spec": {"version": "15", "resources": resources},
            "host_specs": [{"zone_id": subnet.zone_id, "subnet_id": subnet.id}],
            **more,
        }
        return self.api("mdb.postgresql.v1.Cluster").Create(**values)
