"""Security groups and address translation as nftables text. Nothing here touches the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rehearsal.places import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv4Address

    from rehearsal.world.topology import Endpoint, Interface, Topology

UPLINK = "uplink"
ANY_PORT = (0, 65535)
# Where the cloud's load balancers check from, as its documentation lists them.
PREDEFINED = {"loadbalancer_healthchecks": ("198.18.235.0/24", "198.18.248.0/24")}
INGRESS, EGRESS = 1, 2  # yandex.cloud.vpc.v1.SecurityGroupRule.Direction


def _table(family: str, chains: str) -> str:
    """Replace our table in one transaction: no packet sees it half-made; connections under way go on."""
    return f"table {family} stagecraft\ndelete table {family} stagecraft\ntable {family} stagecraft {{\n{chains}}}\n"


def _chain(name: str, kind: str, hook: str, priority: str, policy: str, rules: Iterable[str]) -> str:
    lines = [f"type {kind} hook {hook} priority {priority}; policy {policy};", *rules]
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _set(items: Iterable[object]) -> str:
    return "{ " + ", ".join(map(str, items)) + " }"


def closed() -> str:
    """What stands before the cloud has said who may talk: loopback only."""
    return _endpoint_table([], [])


def endpoint(wanted: Topology, which: Endpoint) -> str:
    """The security groups of every interface of one endpoint. What no rule lets through is dropped, both ways, as in
    the cloud; answers to what was let through pass, and so does the subnet's resolver."""
    incoming, outgoing = [], []
    for number, interface in enumerate(which.interfaces):
        name, subnet = f'"eth{number}"', wanted.subnets[interface.subnet]
        outgoing += [f"oifname {name} ip daddr {subnet.resolver} {kind} dport 53 accept" for kind in ("udp", "tcp")]
        groups = _effective_groups(wanted, interface)
        if groups is None:
            incoming.append(f"iifname {name} meta nfproto ipv4 accept")
            outgoing.append(f"oifname {name} meta nfproto ipv4 accept")
            continue
        for group in groups:
            for rule in group.rules:
                side, far, lines = (
                    ("iifname", "saddr", incoming) if rule.direction == INGRESS else ("oifname", "daddr", outgoing)
                )
                lines += [f"{side} {name} {match}" for match in _matches(wanted, group, rule, far)]
    return _endpoint_table(incoming, outgoing)


def _endpoint_table(incoming: list[str], outgoing: list[str]) -> str:
    # A rule that two groups share is written once.
    always = ["ct state established,related accept"]
    return _table(
        "inet",
        _chain("input", "filter", "input", "filter", "drop", dict.fromkeys(['iif "lo" accept', *always, *incoming]))
        + _chain(
            "output", "filter", "output", "filter", "drop", dict.fromkeys(['oif "lo" accept', *always, *outgoing])
        ),
    )


def _effective_groups(wanted: Topology, interface: Interface) -> list[Any] | None:
    """The groups of an interface; without any, the network's default group; None where there is not one either: such
    an interface is open."""
    ids = interface.groups
    if not ids:
        default = wanted.default_groups.get(wanted.subnets[interface.subnet].network)
        ids = (default,) if default in wanted.groups else ()
    return [wanted.groups[group] for group in ids if group in wanted.groups] if ids else None


def _matches(wanted: Topology, group: Any, rule: Any, far: str) -> Iterator[str]:
    """One rule of a security group as nftables matches; none when nobody can match it (a group without members)."""
    addresses = _addresses(wanted, group, rule)
    if not addresses:
        return
    whom = "meta nfproto ipv4" if "0.0.0.0/0" in addresses else f"ip {far} {_set(addresses)}"
    ports = (rule.ports.from_port, rule.ports.to_port) if rule.HasField("ports") else ANY_PORT
    some_ports = ports != ANY_PORT and ports != (-1, -1)
    dport = f"{ports[0]}-{ports[1]}" if ports[0] != ports[1] else f"{ports[0]}"
    for protocol in _protocols(rule, some_ports):
        if protocol in ("tcp", "udp") and some_ports:
            yield f"{whom} {protocol} dport {dport} accept"
        elif protocol == "any":
            yield f"{whom} accept"
        else:
            yield f"{whom} meta l4proto {protocol} accept"


def _protocols(rule: Any, some_ports: bool) -> list[str]:
    name = rule.protocol_name.lower()
    if not name and rule.protocol_number > 0:
        name = {1: "icmp", 6: "tcp", 17: "udp"}.get(rule.protocol_number, str(rule.protocol_number))
    if name in ("", "any"):
        return ["tcp", "udp"] if some_ports else ["any"]
    return [] if name in ("ipv6_icmp", "icmpv6") else [name]


def _addresses(wanted: Topology, group: Any, rule: Any) -> list[str]:
    if rule.HasField("cidr_blocks"):
        return list(rule.cidr_blocks.v4_cidr_blocks)
    if rule.security_group_id:
        return _members(wanted, rule.security_group_id)
    if rule.predefined_target == "self_security_group":
        return _members(wanted, group.id)
    return list(PREDEFINED.get(rule.predefined_target, ()))


def _members(wanted: Topology, group: str) -> list[str]:
    """The private addresses of all interfaces in a group, those that are in it by default too."""
    return sorted(
        str(interface.address)
        for endpoint in wanted.endpoints.values()
        for interface in endpoint.interfaces
        if group in (interface.groups or (wanted.default_groups.get(wanted.subnets[interface.subnet].network),))
    )


def router(wanted: Topology, network: str, egress: IPv4Address) -> str:
    """Address translation of one VPC network. Inside, subnets reach each other. From outside, only public addresses
    lead in. Out go interfaces with a public address (as that address) and subnets whose route table has a gateway (as
    `egress`)."""
    public = {item.address: item.public for _, item in wanted.interfaces_of(network) if item.public}
    through_gateway = [block for subnet in wanted.subnets_of(network) if subnet.nat for block in subnet.ranges]
    senders = _set([*public, *through_gateway]) if public or through_gateway else ""
    inward, outward, forward = [], [], ["ct state established,related accept", "ct status dnat accept"]
    if public:
        inward.append(f'iifname "{UPLINK}" dnat to ip daddr map {_map((p, a) for a, p in public.items())}')
        # A neighbour that may leave the network reaches a public address of it as if it came from outside.
        inward.append(f"ip saddr {senders} dnat to ip daddr map {_map((p, a) for a, p in public.items())}")
    for leaving in (f'oifname "{UPLINK}"', f'iifname != "{UPLINK}" ct status dnat'):
        if public:
            outward.append(f"{leaving} snat to ip saddr map {_map(public.items())}")
        if through_gateway:
            outward.append(f"{leaving} ip saddr {_set(through_gateway)} snat to {egress}")
    if senders:
        forward.append(f'oifname "{UPLINK}" ip saddr {senders} accept')
    forward.append(f'iifname != "{UPLINK}" oifname != "{UPLINK}" accept')
    to_router = [
        'iif "lo" accept',
        "ct state established,related accept",
        f'iifname != "{UPLINK}" udp dport 53 accept',
        f'iifname != "{UPLINK}" tcp dport 53 accept',
        f'iifname != "{UPLINK}" ip daddr {METADATA} tcp dport 80 accept',
        f'iifname != "{UPLINK}" meta l4proto icmp accept',
    ]
    return _table(
        "ip",
        _chain("prerouting", "nat", "prerouting", "dstnat", "accept", inward)
        + _chain("postrouting", "nat", "postrouting", "srcnat", "accept", outward)
        + _chain("forward", "filter", "forward", "filter", "drop", forward)
        + _chain("input", "filter", "input", "filter", "drop", to_router),
    )


def _map(pairs: Iterable[tuple[object, object]]) -> str:
    return "{ " + ", ".join(f"{key} : {value}" for key, value in pairs) + " }"
