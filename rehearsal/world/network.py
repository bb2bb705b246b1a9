"""Network namespaces, bridges, routes and address translation, made what the cloud's VPC says."""

from __future__ import annotations

import hashlib
import threading
from ipaddress import IPv4Address
from pathlib import Path

from rehearsal.places import (
    API,
    CONTROLLER,
    INTERNET,
    METADATA,
    PACKAGES,
    PROVIDER_RANGES,
    REGISTRY,
    REST,
    SERVERLESS,
    STORAGE,
    VISITOR,
    WHEELS,
    Place,
)
from rehearsal.world import WorldError, firewall, shell
from rehearsal.world.firewall import UPLINK
from rehearsal.world.topology import EMPTY, Endpoint, Interface, Subnet, Topology

BACKBONE = "backbone"  # the bridge in the internet namespace that carries everything
EGRESS_ADDRESSES = [INTERNET[number] for number in range(16, 64)]  # what networks use to leave; public ones follow


def tail(identifier: str) -> str:
    """The end of an id, unique enough and short enough for the name of a link (15 characters with a prefix)."""
    return identifier[-12:]


def make_internet(place: Place) -> None:
    """The namespace `internet` with its well-known addresses and no way to the real network. Idempotent."""
    netns = place.netns("internet")
    if netns not in shell.namespaces():
        make_namespace(netns)
    if BACKBONE not in links(netns):
        shell.ip(
            netns,
            f"link add {BACKBONE} address {mac_of(netns)} type bridge",
            *(
                f"addr add {a}/{INTERNET.prefixlen} dev {BACKBONE}"
                for a in (CONTROLLER, API, REST, STORAGE, REGISTRY, SERVERLESS, PACKAGES, VISITOR, WHEELS)
            ),
            f"link set {BACKBONE} up",
            *(f"route add unreachable {block}" for block in PROVIDER_RANGES),
        )


def make_namespace(netns: str) -> None:
    """A namespace with loopback. IPv4 only between machines: the cloud's networks here have no IPv6."""
    shell.run("ip", "netns", "add", netns)
    shell.ip(netns, "link set lo up")


def set_kernel(netns: str, **settings: str) -> None:
    """Write kernel settings under net/ of one namespace: `ipv4__ip_forward="1"`."""
    with shell.entered(netns):
        for name, value in settings.items():
            Path("/proc/sys/net", *name.split("__")).write_text(value)


def links(netns: str) -> set[str]:
    """The names of the links in a namespace."""
    return {link["ifname"] for link in shell.ip_json(netns, "link", "show")}


def addresses(netns: str, link: str) -> set[str]:
    """The IPv4 addresses of a link, as address/prefix."""
    shown = shell.ip_json(netns, "-4", "addr", "show", "dev", link)
    return {f"{item['local']}/{item['prefixlen']}" for entry in shown for item in entry.get("addr_info", ())}


def mac_of(text: str) -> str:
    """A local hardware address that stays the same: a bridge without one takes that of its ports, and changes it."""
    return "02:" + hashlib.sha256(text.encode()).digest()[:5].hex(":")


class Network:
    """The network of one rehearsal.

    For whoever runs something that is not an instance (a database host) on a subnet: `attach(id, subnet, address)`
    makes the namespace `place.netns(id)` with `eth0` at that address, and a default route; run the container with
    `--network ns:/run/netns/<place.netns(id)>`. Everything else (firewall, names) follows from the Endpoint that you
    return from `Databases.endpoints(cloud)`, at the next `sync`. `detach(id)` removes the namespace again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.RLock()
        self._wanted = EMPTY
        self._done: Topology | None = None  # what the machine is known to be like
        self._rules: dict[str, str] = {}  # namespace: the nftables text last applied by this process

    def sync(self, wanted: Topology) -> None:
        """Make the machine's namespaces what `wanted` says; applies only what differs. An endpoint's namespace is
        completed where it exists; making it is for `join`, when the endpoint starts."""
        with self._lock:
            if wanted == self._done:
                return
            self._wanted, self._done = wanted, None
            for network in wanted.networks:
                self._sync_router(network)
            existing = shell.namespaces()
            for endpoint in wanted.endpoints.values():
                if self._place.netns(endpoint.id) in existing:
                    self._sync_endpoint(endpoint)
            routers = {self.router(network) for network in wanted.networks}
            for netns in existing - routers:
                if netns.startswith(self.router("")):
                    self._remove(netns)
            self._done = wanted

    def router(self, network: str) -> str:
        """The namespace that routes a VPC network."""
        return self._place.netns(f"vpc-{network}")

    def join(self, endpoint: Endpoint) -> str:
        """Make or complete the namespace of an endpoint; its name."""
        with self._lock:
            netns = self._place.netns(endpoint.id)
            if netns not in shell.namespaces():
                make_namespace(netns)
                self._rules.pop(netns, None)
            self._sync_endpoint(endpoint)
            return netns

    def attach(self, endpoint: str, subnet: str, address: IPv4Address | str) -> str:
        """`join` for what has one plain interface. Raises WorldError when the subnet is not known (yet)."""
        return self.join(Endpoint(endpoint, (), (Interface(subnet, IPv4Address(address)),)))

    def subnet(self, endpoint: Endpoint) -> Subnet:
        """The subnet of an endpoint's first interface. Raises WorldError when it is not known (yet)."""
        wanted = endpoint.interfaces[0].subnet
        if wanted not in self._wanted.subnets:
            raise WorldError(f"{endpoint.id}: its subnet {wanted} does not exist")
        return self._wanted.subnets[wanted]

    def detach(self, endpoint: str) -> None:
        """Remove an endpoint's namespace, and with it its links and its firewall."""
        with self._lock:
            self._remove(self._place.netns(endpoint))

    def _remove(self, netns: str) -> None:
        self._rules.pop(netns, None)
        if netns in shell.namespaces():
            shell.run("ip", "netns", "del", netns)

    def _sync_router(self, network: str) -> None:
        netns = self.router(network)
        if netns not in shell.namespaces():
            make_namespace(netns)
            self._rules.pop(netns, None)
            set_kernel(netns, ipv4__ip_forward="1", ipv6__conf__all__disable_ipv6="1")
            shell.ip(netns, f"addr add {METADATA}/32 dev lo")
        if UPLINK not in links(netns):
            self._connect_to_internet(netns, network)
        subnets = {f"s-{tail(subnet.id)}": subnet for subnet in self._wanted.subnets_of(network)}
        present = {link for link in links(netns) if link.startswith("s-")}
        shell.ip(netns, *(f"link del {link}" for link in present - subnets.keys()))
        for link, subnet in subnets.items():
            self._sync_subnet(netns, link, subnet, is_new=link not in present)
        egress = self._egress(netns)
        self._sync_public_addresses(netns, network, egress)
        self._apply(netns, firewall.router(self._wanted, network, egress))

    def _connect_to_internet(self, netns: str, network: str) -> None:
        internet, far_end = self._place.netns("internet"), f"u-{tail(network)}"
        taken = {
            str(self._egress(other))
            for other in shell.namespaces()
            if other.startswith(self.router("")) and other != netns
        }
        free = next((a for a in EGRESS_ADDRESSES if str(a) not in taken), None)
        if free is None:
            raise WorldError(
                f"VPC network {network}: a rehearsal has room for {len(EGRESS_ADDRESSES)} networks; delete one"
            )
        shell.ip(
            netns,
            f"link add {UPLINK} type veth peer name {far_end} netns {internet}",
            f"addr add {free}/{INTERNET.prefixlen} dev {UPLINK}",
            f"link set {UPLINK} up",
        )
        shell.ip(internet, f"link set {far_end} master {BACKBONE} up")

    def _egress(self, netns: str) -> IPv4Address | None:
        """The address by which a network leaves: the one on its uplink with the prefix of the whole internet."""
        if UPLINK not in links(netns):
            return None
        own = [a for a in addresses(netns, UPLINK) if a.endswith(f"/{INTERNET.prefixlen}")]
        return IPv4Address(own[0].partition("/")[0]) if own else None

    def _sync_subnet(self, netns: str, link: str, subnet: Subnet, *, is_new: bool) -> None:
        own = {f"{block[number]}/{block.prefixlen}" for block in subnet.ranges for number in (1, 2)}
        present = set() if is_new else addresses(netns, link)
        shell.ip(
            netns,
            *([f"link add {link} address {mac_of(subnet.id)} type bridge", f"link set {link} up"] if is_new else []),
            *(f"addr del {address} dev {link}" for address in sorted(present - own)),
            *(f"addr add {address} dev {link}" for address in sorted(own - present)),
        )

    def _sync_public_addresses(self, netns: str, network: str, egress: IPv4Address | None) -> None:
        """A public address is on the uplink, so that the network answers for it; translation leads it on."""
        own = {f"{item.public}/32" for _, item in self._wanted.interfaces_of(network) if item.public}
        present = {address for address in addresses(netns, UPLINK) if address.endswith("/32")}
        shell.ip(
            netns,
            *(f"addr del {address} dev {UPLINK}" for address in sorted(present - own)),
            *(f"addr add {address} dev {UPLINK}" for address in sorted(own - present)),
        )

    def _sync_endpoint(self, endpoint: Endpoint) -> None:
        netns = self._place.netns(endpoint.id)
        present = links(netns)
        for number, interface in enumerate(endpoint.interfaces):
            if f"eth{number}" not in present:
                self._connect(netns, endpoint, number, interface)
        known = endpoint.id in self._wanted.endpoints
        self._apply(netns, firewall.endpoint(self._wanted, endpoint) if known else firewall.closed())

    def _connect(self, netns: str, endpoint: Endpoint, number: int, interface: Interface) -> None:
        subnet = self._wanted.subnets.get(interface.subnet)
        if subnet is None:
            raise WorldError(f"{endpoint.id}: its subnet {interface.subnet} does not exist")
        block = next((block for block in subnet.ranges if interface.address in block), None)
        if block is None:
            raise WorldError(f"{endpoint.id}: {interface.address} is outside of subnet {subnet.id} ({subnet.ranges})")
        router, port = self.router(subnet.network), f"p{number}-{tail(endpoint.id)}"
        mac = interface.mac or mac_of(f"{endpoint.id}/{number}")
        shell.ip(
            netns,
            f"link add eth{number} address {mac} type veth peer name {port} netns {router}",
            f"addr add {interface.address}/{block.prefixlen} dev eth{number}",
            f"link set eth{number} up",
            *([f"route add default via {block[1]}"] if number == 0 else []),
        )
        shell.ip(router, f"link set {port} master s-{tail(subnet.id)} up")

    def _apply(self, netns: str, rules: str) -> None:
        if self._rules.get(netns) != rules:
            shell.nft(netns, rules)
            self._rules[netns] = rules
