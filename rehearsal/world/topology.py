"""What the cloud's VPC says the network should be, as plain values. Nothing here touches the machine."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rehearsal.cloud.core import Cloud

ANYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Interface:
    """A place on a subnet. `public` is its one-to-one NAT address; `groups` are ids of security groups."""

    subnet: str
    address: IPv4Address
    public: IPv4Address | None = None
    groups: tuple[str, ...] = ()
    mac: str = ""


@dataclass(frozen=True)
class Endpoint:
    """What has a network namespace of its own (`Place.netns(id)`): a machine, a managed database's host. `names` are
    full host names that answer, in its network only, with the first interface's address."""

    id: str
    names: tuple[str, ...]
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True)
class Subnet:
    """`nat`: its route table has a gateway for 0.0.0.0/0. Routes to a machine (next hop addresses) lead nowhere here:
    machines have no right to forward."""

    id: str
    network: str
    ranges: tuple[IPv4Network, ...]
    nat: bool = False
    domain: str = ""

    @property
    def gateway(self) -> IPv4Address:
        """The first address of the subnet routes."""
        return self.ranges[0][1]

    @property
    def resolver(self) -> IPv4Address:
        """The second address of the subnet answers DNS."""
        return self.ranges[0][2]


@dataclass(frozen=True)
class Topology:
    """The whole network of a cloud."""

    networks: tuple[str, ...]
    subnets: dict[str, Subnet]
    endpoints: dict[str, Endpoint]
    groups: dict[str, Any]  # id: yandex.cloud.vpc.v1.SecurityGroup
    default_groups: dict[str, str]  # network: the id of its default security group, where it has one

    def subnets_of(self, network: str) -> list[Subnet]:
        return [subnet for subnet in self.subnets.values() if subnet.network == network]

    def interfaces_of(self, network: str) -> list[tuple[Endpoint, Interface]]:
        return [
            (endpoint, interface)
            for endpoint in self.endpoints.values()
            for interface in endpoint.interfaces
            if self.subnets[interface.subnet].network == network
        ]


EMPTY = Topology((), {}, {}, {}, {})


def read(cloud: Cloud, others: Iterable[Endpoint] = ()) -> Topology:
    """The network that the cloud describes, with `others` (endpoints that are not instances) on it."""
    tables = {table.id: table for table in cloud.all("vpc.v1.RouteTable")}
    networks = cloud.all("vpc.v1.Network")
    subnets = {subnet.id: _subnet(subnet, tables.get(subnet.route_table_id)) for subnet in cloud.all("vpc.v1.Subnet")}
    endpoints = [*map(instance_endpoint, cloud.all("compute.v1.Instance")), *others]
    return Topology(
        networks=tuple(sorted(network.id for network in networks)),
        subnets=subnets,
        endpoints={
            endpoint.id: endpoint
            for endpoint in endpoints
            if all(interface.subnet in subnets for interface in endpoint.interfaces)
        },
        groups={group.id: group for group in cloud.all("vpc.v1.SecurityGroup")},
        default_groups={
            network.id: network.default_security_group_id for network in networks if network.default_security_group_id
        },
    )


def _subnet(subnet: Any, table: Any) -> Subnet:
    routes = table.static_routes if table else ()
    return Subnet(
        id=subnet.id,
        network=subnet.network_id,
        ranges=tuple(IPv4Network(block) for block in subnet.v4_cidr_blocks),
        nat=any(IPv4Network(route.destination_prefix) == ANYWHERE and route.gateway_id for route in routes),
        domain=subnet.dhcp_options.domain_name,
    )


def instance_endpoint(instance: Any) -> Endpoint:
    """A Compute instance on the network."""
    interfaces = []
    for interface in instance.network_interfaces:
        address = interface.primary_v4_address
        interfaces.append(
            Interface(
                subnet=interface.subnet_id,
                address=IPv4Address(address.address),
                public=IPv4Address(address.one_to_one_nat.address) if address.one_to_one_nat.address else None,
                groups=tuple(interface.security_group_ids),
                mac=interface.mac_address,
            )
        )
    names = dict.fromkeys([instance.fqdn, f"{instance.id}.auto.internal"])
    return Endpoint(instance.id, tuple(name for name in names if name), tuple(interfaces))


def zones(cloud: Cloud) -> list[tuple[Any, list[Any]]]:
    """Every DNS zone with its record sets."""
    kind = cloud.kind("dns.v1.DnsZone")
    return [(zone, list(kind.records(cloud, zone).values())) for zone in cloud.all(kind.api)]
