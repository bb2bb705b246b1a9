"""A stage's topology from its declarations: security groups say who reaches whom, roles who may use a service."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from stagecraft.stages import Refused
from stagecraft.topology.access import service_ways
from stagecraft.topology.model import (
    ALL,
    INTERNET,
    Declared,
    Member,
    Place,
    Ports,
    Rule,
    Thing,
    Topology,
    collapsed,
    entries,
    everywhere,
    merged,
)  # fmt: skip

DEFAULT = "default group of the network"  # what the provider applies where no group is said: it lets everything through
SELF = "self_security_group"
PREDEFINED = {"loadbalancer_healthchecks": "load balancer's health checks"}  # a name of the cloud -> what it stands for


def topology(
    stage: str, declared: Declared, programs: dict[str, tuple[str, ...]], known: dict[str, str] | None = None
) -> Topology:
    """The picture of a stage. `programs` are those that machines run, by the machines' role; `known`, who is behind a
    network outside. Raises Refused where something lies in what is not declared."""
    members, things = inside(declared, programs)
    reached = network_ways(members, rules(declared))
    machines = {member.id for member in members if member.machine}
    ways = collapsed(reached, machines)
    used = {end for way in ways for end in (way.source, way.target)}
    if ALL in used:
        first = next(member for member in members if member.machine)
        things.append(Thing(ALL, ALL, "every machine", place=first.network))
    services, opened = service_ways(declared, things)
    ways = merged([*ways, *opened])
    used |= {way.source for way in ways if way.source == INTERNET}
    outside = [
        Thing(one, "outside", (known or {}).get(one, one)) for one in sorted(used - {thing.id for thing in things})
    ]
    drawn = {end for way in ways for end in (way.source, way.target)}
    services = [one for one in services if one.id in drawn or one.kind in ("storage_bucket", "serverless_container")]
    return Topology(stage, tuple(places(declared, members)), (*outside, *things, *services), tuple(ways))


def places(declared: Declared, members: list[Member]) -> Iterator[Place]:
    """Networks with something in them, their zones, and the subnets in these."""
    routed, seen = entries(declared, "vpc_route_table"), set()
    for name in entries(declared, "vpc_network"):
        if any(member.network == name for member in members):
            yield Place(name, f"network {name}")
    for name, subnet in entries(declared, "vpc_subnet").items():
        zone = f"{subnet['network']}/{subnet['zone']}"
        if not any(member.network == subnet["network"] for member in members):
            continue
        if zone not in seen:
            yield Place(zone, str(subnet["zone"]), subnet["network"])
            seen.add(zone)
        routes = (routed.get(subnet.get("route_table", "")) or {}).get("routes") or []
        out = [f"out through {route['gateway']} (NAT)" for route in routes if route.get("gateway")]
        yield Place(f"{zone}/{name}", "\n".join([f"{name} · {', '.join(listed(subnet['cidr']))}", *out]), zone)


def inside(declared: Declared, programs: dict[str, tuple[str, ...]]) -> tuple[list[Member], list[Thing]]:
    """What lies in networks: machines, and the hosts of databases."""
    members, things = [], []
    for name, machine in entries(declared, "compute_instance").items():
        role = (machine.get("labels") or {}).get("stagecraft-role", "")
        size = [f"{machine['cores']} cores, {machine['memory']}"] if machine.get("memory") else []
        size += [f"{machine['gpus']} GPU"] if machine.get("gpus") else []
        if not machine["network_interfaces"]:
            raise Refused(f"compute_instance {name} has no network interface, so it lies nowhere.", 2)
        for interface in machine["network_interfaces"]:
            public = bool(interface.get("public_address") or interface.get("nat"))
            members.append(member(declared, name, interface["subnet"], interface.get("security_groups"), public, True))
        first, *others = [str(interface["subnet"]) for interface in machine["network_interfaces"]]
        about = (*programs.get(role, ()), ", ".join(size), *(f"also in {subnet}" for subnet in others))
        about += unguarded(machine["network_interfaces"])
        things.append(Thing(name, "compute_instance", name, about, place_of(declared, first, name)))
    for name, cluster in entries(declared, "postgresql_cluster").items():
        for number, host in enumerate(cluster["hosts"], 1):
            ident = f"postgresql/{name}/{number}"
            public, groups = bool(host.get("public")), cluster.get("security_groups")
            members.append(member(declared, ident, host["subnet"], groups, public, False))
            about = (f"PostgreSQL {cluster.get('version', '')}".strip(), str(cluster.get("preset", "")))
            about += unguarded([cluster])
            things.append(Thing(ident, "postgresql_cluster", name, about, place_of(declared, host["subnet"], ident)))
    return members, things


def unguarded(guarded: list[Declared]) -> tuple[str, ...]:
    """A line for what has no security group."""
    return () if all(one.get("security_groups") for one in guarded) else ("no security group",)


def member(declared: Declared, ident: str, subnet: str, groups: Any, public: bool, machine: bool) -> Member:
    """One interface of a machine, or a host. Raises Refused where its subnet or a group of it is not declared."""
    lies, there = subnet_of(declared, subnet, ident), entries(declared, "vpc_security_group")
    if unknown := [group for group in groups or () if group not in there]:
        raise Refused(f"{ident} has the security group {unknown[0]}, which is not declared: its rules are unknown.", 2)
    routes = (entries(declared, "vpc_route_table").get(lies.get("route_table", "")) or {}).get("routes") or []
    networks = tuple(ipaddress.ip_network(cidr, strict=False) for cidr in listed(lies["cidr"]))
    routed = any(everywhere(route["destination"]) for route in routes)
    return Member(ident, machine, lies["network"], networks, tuple(groups or [DEFAULT]), public, public or routed)


def place_of(declared: Declared, subnet: str, whose: str) -> str:
    lies = subnet_of(declared, subnet, whose)
    return f"{lies['network']}/{lies['zone']}/{subnet}"


def subnet_of(declared: Declared, name: str, whose: str) -> Declared:
    """The declaration of a subnet. Raises Refused where there is none, with who lies in it."""
    there = entries(declared, "vpc_subnet")
    if name not in there:
        raise Refused(f"{whose} lies in the subnet {name}, which is not declared. There are: {', '.join(there)}.", 2)
    return there[name]


def listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def rules(declared: Declared) -> list[Rule]:
    """Every rule of every security group, one for each other end that it names; and those of a network's own group.
    Raises Refused for a rule that names no other end."""
    found = [Rule(DEFAULT, inward, Ports(), cidr=cidr) for inward in (True, False) for cidr in ("0.0.0.0/0", "::/0")]
    groups = entries(declared, "vpc_security_group")
    for group, given in groups.items():
        for rule in given.get("rules") or []:
            span, inward = rule.get("ports") or {}, str(rule["direction"]).lower() == "ingress"
            bounds = (int(span["from"]), int(span["to"])) if span else (0, 65535)
            ports = Ports(str(rule.get("protocol", "any")).lower(), *bounds)
            ends = [Rule(group, inward, ports, cidr=cidr) for cidr in listed(rule.get("cidr") or [])]
            if other := rule.get("security_group"):
                known = {"other": other} if other in groups else {"named": f"group {other}"}
                ends.append(Rule(group, inward, ports, **known))
            if predefined := str(rule.get("predefined") or "").lower():
                known = {"other": group} if predefined == SELF else {"named": PREDEFINED.get(predefined, predefined)}
                ends.append(Rule(group, inward, ports, **known))
            if not ends:
                raise Refused(f"a rule of vpc_security_group {group} names no cidr, security_group or predefined.", 2)
            found += ends
    return found


def network_ways(members: list[Member], given: list[Rule]) -> dict[tuple[str, str], set[Ports]]:
    """What the rules of both ends let through. What is open to everybody is drawn for the internet where that gets there,
    and not for each machine again."""
    ways: dict[tuple[str, str], set[Ports]] = {}

    def add(source: str, target: str, ports: Ports | None) -> None:
        if ports is not None:
            ways.setdefault((source, target), set()).add(ports)

    for one in members:
        own = [rule for rule in given if rule.group in one.groups]
        for rule in own:
            if not rule.outside or (rule.private and any(rule.within(other) for other in members)):
                continue
            if rule.inward and (one.entered or rule.named):
                add(rule.outside, one.id, rule.ports)
            elif not rule.inward and (one.leaves or rule.named):
                add(one.id, rule.outside, rule.ports)
        for other in members:
            if other.id == one.id or other.network != one.network:
                continue
            for out in [rule for rule in own if not rule.inward and rule.names(other)]:
                for into in [rule for rule in given if rule.inward and rule.group in other.groups and rule.names(one)]:
                    if not (out.everybody and into.everybody and other.entered):
                        add(one.id, other.id, out.ports.both(into.ports))
    return ways
