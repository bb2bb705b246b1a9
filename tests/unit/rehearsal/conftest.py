"""A small VPC, as the cloud describes it."""

from __future__ import annotations

import pytest
from described_cloud import EGRESS, INGRESS, Described, instance, rule
from yandex.cloud.vpc.v1.network_pb2 import Network
from yandex.cloud.vpc.v1.route_table_pb2 import RouteTable
from yandex.cloud.vpc.v1.security_group_pb2 import SecurityGroup
from yandex.cloud.vpc.v1.subnet_pb2 import Subnet


@pytest.fixture
def cloud() -> Described:
    """One network: subnet a with a gateway, subnet b without; a bastion with a public address, two backends."""
    web = SecurityGroup(id="sg-web", network_id="net")
    web.rules.append(rule(INGRESS, "TCP", (22, 22), cidr="198.51.100.0/24"))
    web.rules.append(rule(EGRESS, "ANY", cidr="0.0.0.0/0"))
    table = RouteTable(id="rt", network_id="net")
    table.static_routes.add(destination_prefix="0.0.0.0/0", gateway_id="gw")
    return Described(
        Network=[Network(id="net")],
        Subnet=[
            Subnet(id="sub-a", network_id="net", v4_cidr_blocks=["10.0.0.0/24"], route_table_id="rt"),
            Subnet(id="sub-b", network_id="net", v4_cidr_blocks=["10.0.1.0/24"]),
        ],
        RouteTable=[table],
        SecurityGroup=[web],
        Instance=[
            instance("bastion", "10.0.0.5", public="198.51.100.64", groups=("sg-web",)),
            instance("backend", "10.0.0.6", groups=("sg-web",)),
            instance("open", "10.0.1.7", subnet="sub-b"),
        ],
    )
