"""Networks: what is in them, and what may pass."""

from __future__ import annotations

from typing import Any

from ..yandex import SELF, Field, Ref, Resource, Yandex


class Addresses(Yandex):
    """One that nobody reserved comes and goes with the machine that has it."""

    def made_by_cloud(self, row: Any) -> bool:
        return not row.reserved


NETWORK = Resource("vpc.v1.Network", example="name: main")

GATEWAY = Resource(
    "vpc.v1.Gateway",
    fields=(
        Field(
            "shared_egress",
            "Give machines without a public address a way out.",
            "shared_egress_gateway",
            on={},
            default=True,
        ),
    ),
    example="name: egress",
)

ROUTE_TABLE = Resource(
    "vpc.v1.RouteTable",
    fields=(
        Ref("network", NETWORK, required=True),
        Field(
            "routes",
            path="static_routes",
            fields=(
                Field("destination", path="destination_prefix", required=True, form="network"),
                Field("address", path="next_hop_address"),
                Ref("gateway", GATEWAY),
            ),
        ),
    ),
    example="""
name: private
network: main
routes:
  - {destination: 0.0.0.0/0, gateway: egress}
""",
)

SUBNET = Resource(
    "vpc.v1.Subnet",
    fields=(
        Ref("network", NETWORK, required=True),
        Field("zone", path="zone_id", required=True),
        Field("cidr", path="v4_cidr_blocks", required=True, form="network"),
        Ref("route_table", ROUTE_TABLE),
        Field("dhcp", path="dhcp_options"),
    ),
    example="""
name: private-a
network: main
zone: ru-central1-a
cidr: [10.10.1.0/24]
route_table: private
""",
)

SECURITY_GROUP = Resource(
    "vpc.v1.SecurityGroup",
    filled=("rules.protocol_number",),
    fields=(
        Ref("network", NETWORK, required=True),
        Field(
            "rules",
            "All the rules of the group; their order does not matter.",
            late=True,
            fields=(
                Field("direction", required=True),
                Field("description"),
                Field("protocol", "Protocol by name; any when not set.", "protocol_name", default="any", upper=True),
                Field(
                    "ports",
                    fields=(
                        Field("from", path="from_port", required=True, form="port"),
                        Field("to", path="to_port", required=True, form="port"),
                    ),
                ),
                Field("cidr", path="cidr_blocks.v4_cidr_blocks", form="network"),
                Ref(
                    "security_group",
                    SELF,
                    "Name of the security group that the traffic comes from or goes to.",
                    late=True,
                ),
                Field("predefined", path="predefined_target"),
            ),
        ),
    ),
    example="""
name: web
network: main
rules:
  - {direction: ingress, protocol: TCP, ports: {from: 443, to: 443}, cidr: [0.0.0.0/0]}
  - {direction: egress, cidr: [0.0.0.0/0]}
""",
)

ADDRESS = Resource(
    "vpc.v1.Address",
    backend=Addresses,
    filled=("reserved",),
    fields=(
        Field("zone", path="external_ipv4_address.zone_id", required=True),
        Field("address", "The address; the cloud chooses one when it is not set.", "external_ipv4_address.address"),
    ),
    example="""
name: entry
zone: ru-central1-a
""",
)
