"""Who has which address: private ones from their subnets, public ones from the rehearsal's range."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from rehearsal import places
from rehearsal.cloud.errors import ApiError, Code, invalid, refused

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

INSTANCE, SUBNET, ADDRESS, HOST = "compute.v1.Instance", "vpc.v1.Subnet", "vpc.v1.Address", "mdb.postgresql.v1.Host"
FIRST = 3  # of a subnet: .1 is its gateway, .2 its DNS server


def private_in_use(cloud: Cloud, subnet: str) -> dict[str, tuple[str, str]]:
    """The addresses taken in a subnet, with the (type, id) of who has each."""
    taken = {}
    for instance in cloud.all(INSTANCE):
        for interface in instance.network_interfaces:
            if interface.subnet_id == subnet and interface.primary_v4_address.address:
                taken[interface.primary_v4_address.address] = ("compute.instance", instance.id)
    for host in cloud.all(HOST):
        address = cloud.facts(HOST, host.name).get("address")
        if host.subnet_id == subnet and address:
            taken[address] = ("managed-postgresql.cluster", host.cluster_id)
    return taken


def private(cloud: Cloud, subnet_id: str, wanted: str = "") -> str:
    """A free address of a subnet, the wanted one where it is said. Raises ApiError."""
    subnet = cloud.get(SUBNET, subnet_id)
    ranges = [IPv4Network(block) for block in subnet.v4_cidr_blocks]
    taken = private_in_use(cloud, subnet_id)
    if wanted:
        _check_private(wanted, ranges, subnet.name)
        if wanted in taken:
            raise refused(f"Address {wanted} is already in use by {' '.join(taken[wanted])}")
        return wanted
    for block in ranges:
        for number in range(FIRST, block.num_addresses - 1):
            if str(block[number]) not in taken:
                return str(block[number])
    raise ApiError(Code.RESOURCE_EXHAUSTED, f"Subnet {subnet.name} has no free addresses")


def _check_private(wanted: str, ranges: list[IPv4Network], name: str) -> None:
    try:
        address = ip_address(wanted)
    except ValueError:
        raise invalid(f"address: {wanted!r} is no address") from None
    block = next((block for block in ranges if address in block), None)
    if block is None:
        raise invalid(f"address: {wanted} is outside of subnet {name} ({', '.join(map(str, ranges))})")
    if int(address) - int(block.network_address) < FIRST or address == block.broadcast_address:
        raise invalid(f"address: {wanted} is one of those that subnet {name} keeps for itself")


def public_in_use(cloud: Cloud) -> dict[str, str]:
    """The public addresses that instances have, with the instances' ids."""
    taken = {}
    for instance in cloud.all(INSTANCE):
        for interface in instance.network_interfaces:
            address = interface.primary_v4_address.one_to_one_nat.address
            if address:
                taken[address] = instance.id
    return taken


def new_public(cloud: Cloud) -> str:
    """A public address that nobody has or has reserved. Raises RESOURCE_EXHAUSTED."""
    taken = {reserved.external_ipv4_address.address for reserved in cloud.all(ADDRESS)} | set(public_in_use(cloud))
    free = next((str(address) for address in places.PUBLIC.hosts() if str(address) not in taken), None)
    if free is None:
        raise ApiError(Code.RESOURCE_EXHAUSTED, "Quota limit vpc.externalAddresses.count exceeded")
    return free


def public(cloud: Cloud, wanted: str, zone: str) -> str:
    """The address of an interface's one-to-one NAT: a reserved one that is named and free, else an ephemeral one."""
    if not wanted:
        return new_public(cloud)
    reserved = next((a for a in cloud.all(ADDRESS) if a.external_ipv4_address.address == wanted), None)
    if reserved is None:
        raise invalid(f"one_to_one_nat: address {wanted} is not reserved in this cloud")
    if reserved.external_ipv4_address.zone_id != zone:
        raise invalid(
            f"one_to_one_nat: address {wanted} is reserved in {reserved.external_ipv4_address.zone_id}, not {zone}"
        )
    user = public_in_use(cloud).get(wanted)
    if user:
        raise refused(f"Address {wanted} is already in use by instance {user}")
    return wanted


def next_hop_is_inside(address: str, subnets: list[Message]) -> bool:
    """Whether an address lies in one of the subnets."""
    return any(IPv4Address(address) in IPv4Network(block) for subnet in subnets for block in subnet.v4_cidr_blocks)
