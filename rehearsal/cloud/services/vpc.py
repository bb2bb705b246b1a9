"""Virtual Private Cloud: networks, subnets, gateways, route tables, addresses."""

from __future__ import annotations

from ipaddress import IPv4Network

from google.protobuf.message import Message

from rehearsal import places
from rehearsal.cloud import addresses, listing
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import exists, invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call
from rehearsal.cloud.services import vpc_security_group

NAMES = "|[a-zA-Z]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
BIGGEST, SMALLEST = 16, 28  # prefix lengths of subnets


class Vpc(Kind):
    """What all of the service share."""

    prefix = "enp"
    pattern = NAMES
    required: tuple[str, ...] = ("folder_id",)
    networked = True


class Network(Vpc):
    api = "vpc.v1.Network"
    users = ("vpc.v1.Subnet", "vpc.v1.RouteTable", vpc_security_group.API, "mdb.postgresql.v1.Cluster")

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        """A network comes with its default security group."""
        group = vpc_security_group.default_of(call, resource)
        resource.default_security_group_id = group.id

    def drop(self, cloud: Cloud, ident: str) -> None:
        """The default security group goes with its network."""
        network = cloud.get(self.api, ident)
        super().drop(cloud, ident)
        if network is not None:
            cloud.store.drop(vpc_security_group.API, network.default_security_group_id)


class Subnet(Vpc):
    api = "vpc.v1.Subnet"
    prefix = "e9b"
    required = ("folder_id", "network_id", "zone_id", "v4_cidr_blocks")
    users = ("compute.v1.Instance", "mdb.postgresql.v1.Host")

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        self._check(call, resource)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check(call, resource)
        for address in addresses.private_in_use(call.cloud, resource.id):
            if not addresses.next_hop_is_inside(address, [resource]):
                raise refused(f"v4_cidr_blocks: address {address} is in use")

    def _check(self, call: Call, subnet: Message) -> None:
        """Ranges are private, of a sensible size, and nobody else's in this network; the route table is the network's."""
        for block in subnet.v4_cidr_blocks:
            network = _network(block, "v4_cidr_blocks")
            if not any(network.subnet_of(private) for private in places.PROVIDER_RANGES):
                ranges = ", ".join(map(str, places.PROVIDER_RANGES))
                raise invalid(f"v4_cidr_blocks: {block} is outside of the private ranges {ranges}")
            if not BIGGEST <= network.prefixlen <= SMALLEST:
                raise invalid(f"v4_cidr_blocks: the prefix of {block} must be between /{BIGGEST} and /{SMALLEST}")
            for other in call.cloud.all(self.api):
                if other.network_id == subnet.network_id and other.id != subnet.id:
                    _check_overlap(network, other)
        if subnet.route_table_id:
            table = call.cloud.get("vpc.v1.RouteTable", subnet.route_table_id)
            if table.network_id != subnet.network_id:
                raise invalid(f"route_table_id: {table.name or table.id} belongs to another network")

    def list_used_addresses(self, call: Call, request: Message) -> Message:
        subnet, answer = self.find(call, request), call.answer()
        taken = addresses.private_in_use(call.cloud, subnet.id)
        found = []
        for number, (address, (kind, ident)) in enumerate(sorted(taken.items()), 1):
            used = type(answer.addresses.add())(address=address)
            used.references.add(referrer={"type": kind, "id": ident}, type="USED_BY")
            found.append((number, used))
        del answer.addresses[:]
        used_addresses, answer.next_page_token = listing.page(found, request.page_size, request.page_token)
        answer.addresses.extend(used_addresses)
        return answer


def _network(text: str, field: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise invalid(f"{field}: {error}") from None


def _check_overlap(network: IPv4Network, other: Message) -> None:
    for block in other.v4_cidr_blocks:
        if network.overlaps(IPv4Network(block)):
            raise refused(
                f"Subnet ranges overlap: {network} with {block} of subnet {other.name or other.id} in the same network"
            )


class Gateway(Vpc):
    api = "vpc.v1.Gateway"
    users = ("vpc.v1.RouteTable",)

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        if not resource.WhichOneof("gateway"):
            raise invalid("gateway: shared_egress_gateway_spec is required")


class RouteTable(Vpc):
    api = "vpc.v1.RouteTable"
    required = ("folder_id", "network_id")
    users = ("vpc.v1.Subnet",)

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        seen = set()
        for route in resource.static_routes:
            destination = _network(route.destination_prefix, "static_routes.destination_prefix")
            if destination in seen:
                raise invalid(f"static_routes: two routes to {destination}")
            seen.add(destination)
            if not route.WhichOneof("next_hop"):
                raise invalid("static_routes: one of next_hop_address, gateway_id is required")

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self.on_create(call, resource, request)


class Address(Vpc):
    """Public addresses. Only those are reserved here; private ones are an instance's own."""

    api = "vpc.v1.Address"
    prefix = "e9b"

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        wanted = resource.external_ipv4_address
        if resource.WhichOneof("address") != "external_ipv4_address":
            raise invalid("address_spec: external_ipv4_address_spec is required")
        if not wanted.zone_id:
            raise invalid("external_ipv4_address_spec.zone_id: Field is required")
        if wanted.address and any(
            a.external_ipv4_address.address == wanted.address and a.id != resource.id for a in call.cloud.all(self.api)
        ):
            raise exists(f"Address {wanted.address} is already reserved")
        wanted.address = wanted.address or addresses.new_public(call.cloud)
        resource.reserved, resource.type, resource.ip_version = True, resource.EXTERNAL, resource.IPV4

    def view(self, cloud: Cloud, resource: Message, request: Message) -> Message:
        resource.used = resource.external_ipv4_address.address in addresses.public_in_use(cloud)
        return resource

    def on_delete(self, call: Call, resource: Message) -> None:
        user = addresses.public_in_use(call.cloud).get(resource.external_ipv4_address.address)
        if user:
            raise refused(f"Address {resource.external_ipv4_address.address} is in use by instance {user}")

    def get_by_value(self, call: Call, request: Message) -> Message:
        wanted = request.external_ipv4_address or request.internal_ipv4_address
        for address in call.cloud.all(self.api):
            if address.external_ipv4_address.address == wanted:
                return self.view(call.cloud, address, request)
        raise not_found("Address", wanted)

    def settle(self, cloud: Cloud, job: Job) -> Message | None:
        answer = super().settle(cloud, job)
        return self.view(cloud, answer, answer) if answer is not None else None


SERVICES = (Network, Subnet, Gateway, RouteTable, Address, vpc_security_group.SecurityGroup)
