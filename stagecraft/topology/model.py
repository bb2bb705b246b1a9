"""What is drawn: things, where they lie, and the ways between them. Values only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

INTERNET = "internet"
ALL = "machines"  # the id of what stands for every machine at once
Declared = dict[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Place:
    """A network, a zone of it or a subnet: what other things lie in. Its id is the path of names to it."""

    id: str
    label: str
    inside: str = ""


@dataclass(frozen=True)
class Thing:
    """A machine, a service, or somebody outside."""

    id: str
    kind: str  # as the engine calls it; or `outside`, or `account`
    label: str
    about: tuple[str, ...] = ()  # more lines
    place: str = ""


@dataclass(frozen=True)
class Way:
    """Who may talk to whom, and how: ports of network rules, or the role that opens a service."""

    source: str
    target: str
    how: tuple[str, ...]


@dataclass(frozen=True)
class Topology:
    """A stage as a picture has it."""

    stage: str
    places: tuple[Place, ...] = ()
    things: tuple[Thing, ...] = ()
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True)
class Member:
    """An interface of a thing in a network, as its rules see it."""

    id: str
    machine: bool
    network: str
    networks: tuple[Network, ...]  # of its subnet
    groups: tuple[str, ...]
    entered: bool  # it has a public address, so the internet may reach it where a rule allows
    leaves: bool  # it has a public address or a route out


@dataclass(frozen=True, order=True)
class Ports:
    """What a rule lets through. No protocol and no port mean all of them."""

    protocol: str = "any"
    first: int = 0
    last: int = 65535

    def both(self, other: Ports) -> Ports | None:
        """What both let through."""
        if "any" not in (self.protocol, other.protocol) and self.protocol != other.protocol:
            return None
        protocol = other.protocol if self.protocol == "any" else self.protocol
        first, last = max(self.first, other.first), min(self.last, other.last)
        return Ports(protocol, first, last) if first <= last else None

    def __str__(self) -> str:
        span = str(self.first) if self.first == self.last else f"{self.first}–{self.last}"
        span = "" if (self.first, self.last) == (0, 65535) else span
        return " ".join(filter(None, ("" if self.protocol == "tcp" and span else self.protocol, span)))


@dataclass(frozen=True)
class Rule:
    """One rule of a security group, for one other end: a group of the stage, a network, or something outside by its name."""

    group: str
    inward: bool
    ports: Ports
    other: str = ""  # the name of a security group
    cidr: str = ""
    named: str = ""

    @property
    def everybody(self) -> bool:
        return everywhere(self.cidr)

    @property
    def outside(self) -> str:
        """What stands for the other end in a picture, where it is no group of the stage."""
        return INTERNET if self.everybody else self.cidr or self.named

    @property
    def private(self) -> bool:
        """Whether nobody on the internet has an address of this network."""
        try:
            return ipaddress.ip_network(self.cidr, strict=False).is_private
        except ValueError:  # a name that stands for networks which nobody has said yet
            return False

    def names(self, member: Member) -> bool:
        """Whether the other end of the rule may be this member."""
        return self.other in member.groups if self.other else self.within(member)

    def within(self, member: Member) -> bool:
        """Whether the member may have an address of the rule's network."""
        try:
            other = ipaddress.ip_network(self.cidr, strict=False)
        except ValueError:
            return False
        return any(other.version == own.version and own.overlaps(other) for own in member.networks)


def everywhere(cidr: str) -> bool:
    """Whether it is every address, of either version of IP."""
    return str(cidr).endswith("/0")


def entries(declared: Declared, kind: str) -> dict[str, Declared]:
    """Declarations of a kind by their names, however they were written; a repository's begins with its registry's."""
    given = declared.get(kind) or {}
    rows = given.items() if isinstance(given, dict) else [(called(one, n), one) for n, one in enumerate(given)]
    return {str(name): one or {} for name, one in rows if (one or {}).get("state") != "absent"}


def called(one: Declared, number: int) -> str:
    return "/".join(str(one[part]) for part in ("registry", "name") if part in one) or str(number)


def collapsed(ways: dict[tuple[str, str], set[Ports]], machines: set[str]) -> list[Way]:
    """Ways as they are drawn: one that is open from or to every machine is drawn once, for all of them."""
    open_to: dict[tuple[bool, str, Ports], set[str]] = {}
    for (source, target), through in ways.items():
        for ports in through:
            for leaving, one, other in ((True, source, target), (False, target, source)):
                if other in machines:
                    open_to.setdefault((leaving, one, ports), set()).add(other)
    left = {pair: set(through) for pair, through in ways.items()}
    drawn: dict[tuple[str, str], set[Ports]] = {}
    for (leaving, one, ports), others in open_to.items():
        if others >= machines - {one} and len(others) > 1:
            for other in others:
                left[(one, other) if leaving else (other, one)].discard(ports)
            drawn.setdefault((one, ALL) if leaving else (ALL, one), set()).add(ports)
    drawn |= {pair: through for pair, through in left.items() if through}
    return [Way(*pair, (", ".join(str(ports) for ports in sorted(through)),)) for pair, through in drawn.items()]


def merged(ways: list[Way]) -> list[Way]:
    """One way for each pair of ends: a database may be reached by a port and by a role."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for way in ways:
        pair = (way.source, way.target)
        found[pair] = (*found.get(pair, ()), *way.how)
    return [Way(*pair, how) for pair, how in found.items()]
