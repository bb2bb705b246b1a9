"""A change past the declarations, as somebody with the cloud's console makes one: one call of the cloud's own API."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from stagecraft.stages import Refused

GROUP = "database"  # the security group that is opened
METHOD = "yandex.cloud.vpc.v1.SecurityGroupService/UpdateRules"
PATIENCE = 30.0  # seconds that the change may take


def open_database(variables: Mapping[str, str]) -> str:
    """Open the databases to the internet, in the cloud that the variables point at; the call as text. Raises Refused."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported: it would write to standard error
    import grpc  # here, because gRPC would make every other command start later
    import yandexcloud
    from google.protobuf.json_format import MessageToDict, ParseDict
    from yandex.cloud.operation.operation_service_pb2 import GetOperationRequest
    from yandex.cloud.operation.operation_service_pb2_grpc import OperationServiceStub
    from yandex.cloud.vpc.v1.security_group_service_pb2 import (
        ListSecurityGroupsRequest,
        UpdateSecurityGroupRulesRequest,
    )
    from yandex.cloud.vpc.v1.security_group_service_pb2_grpc import SecurityGroupServiceStub

    sdk = yandexcloud.SDK(  # type: ignore[attr-defined]  # the library does not say what it exports
        endpoint=variables["YC_ENDPOINT"],
        root_certificates=Path(variables["YC_ROOT_CERTIFICATES"]).read_bytes(),
        service_account_key=json.loads(Path(variables["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text()),
    )
    groups, operations = sdk.client(SecurityGroupServiceStub), sdk.client(OperationServiceStub)
    try:
        folder = variables["YC_FOLDER_ID"]
        there = groups.List(ListSecurityGroupsRequest(folder_id=folder, filter=f'name="{GROUP}"')).security_groups
        if not there:
            raise Refused(f"There is no security group {GROUP} in folder {folder}: it cannot be opened by hand.")
        rule = {
            "direction": "INGRESS",
            "protocol_name": "TCP",
            "ports": {"from_port": 6432, "to_port": 6432},
            "cidr_blocks": {"v4_cidr_blocks": ["0.0.0.0/0"]},
            "description": "Only for a moment",
        }
        request = ParseDict(
            {"security_group_id": there[0].id, "addition_rule_specs": [rule]}, UpdateSecurityGroupRulesRequest()
        )
        operation, deadline = groups.UpdateRules(request), time.monotonic() + PATIENCE
        while not operation.done and time.monotonic() < deadline:
            time.sleep(0.1)
            operation = operations.Get(GetOperationRequest(operation_id=operation.id))
    except grpc.RpcError as error:
        raise Refused(f"the change by hand was refused: {error}") from None
    if not operation.done or operation.HasField("error"):
        raise Refused(
            f"the change by hand was not made within {PATIENCE:.0f} s: {operation.error.message or operation.id}"
        )
    return f"{METHOD} {json.dumps(MessageToDict(request, preserving_proto_field_name=True))}"
