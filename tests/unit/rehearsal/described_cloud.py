"""A cloud's description of a VPC, for tests that read it."""

from __future__ import annotations

from typing import Any

from yandex.cloud.compute.v1.instance_pb2 import Instance
from yandex.cloud.vpc.v1.security_group_pb2 import SecurityGroupRule

INGRESS, EGRESS = SecurityGroupRule.INGRESS, SecurityGroupRule.EGRESS


class Described:
    """The reading side of a cloud: messages by type."""

    def __init__(self, **messages: list[Any]) -> None:
        self.messages = messages

    def all(self, api: str) -> list[Any]:
        return self.messages.get(api.rpartition(".")[2], [])


def instance(
    name: str, address: str, *, public: str = "", groups: tuple[str, ...] = (), subnet: str = "sub-a"
) -> Instance:
    made = Instance(id=f"fhm-{name}", name=name, fqdn=f"{name}.ru-central1.internal", status=Instance.RUNNING)
    interface = made.network_interfaces.add(index="0", subnet_id=subnet, security_group_ids=groups)
    interface.primary_v4_address.address = address
    if public:
        interface.primary_v4_address.one_to_one_nat.address = public
    return made


def rule(direction: int, protocol: str, ports: tuple[int, int] | None = None, **target: Any) -> SecurityGroupRule:
    """One rule of a security group; `cidr`, `security_group_id` or `predefined_target` says for whom."""
    made = SecurityGroupRule(direction=direction, protocol_name=protocol)
    if ports:
        made.ports.from_port, made.ports.to_port = ports
    if cidr := target.pop("cidr", None):
        made.cidr_blocks.v4_cidr_blocks.append(cidr)
    for name, value in target.items():
        setattr(made, name, value)
    return made
