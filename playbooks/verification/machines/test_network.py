"""Exactly the declared ports are open, from every neighbour and from outside."""

import functools
import ipaddress
import sys
from pathlib import Path

import portscan
import pytest
from conftest import answer

# Every privileged port and whatever a stage's products are known to listen on: closed must be seen to be closed.
USUAL = {
    *range(1, 1025),
    2019,
    3000,
    3306,
    5432,
    5433,
    6379,
    6432,
    8000,
    8001,
    8002,
    8080,
    8443,
    9090,
    9093,
    9100,
    9102,
    9115,
    9187,
}
SCANNERS = ("bastion", "edge", "backend", "serving", "monitoring")
SCAN = Path(portscan.__file__).read_text() + "\nprint(json.dumps(scan(**given)))\n"


def ports(stage):
    """What is scanned: the usual ports and every declared one. Bounded, so that a scan takes seconds."""
    declared = {
        port
        for group in stage.facts["security_groups"].values()
        for rule in group["rules"]
        if rule["protocol"] == "tcp"
        for port in range(rule["ports"]["from"], rule["ports"]["to"] + 1)
    }
    return sorted(USUAL | declared)


def groups_of(machine):
    return {"base", machine["role"]}


def admits(stage, rule, source):
    """Does an ingress rule let this source in? A source is a machine, or None for an operator outside."""
    if rule["direction"] != "ingress":
        return False
    if "security_group" in rule:
        return source is not None and rule["security_group"] in groups_of(source)
    outside = ipaddress.ip_network(stage.facts["operators"][0]).network_address
    address = ipaddress.ip_address(source["private"]) if source else outside
    return any(address in ipaddress.ip_network(cidr) for cidr in rule["cidr"])


def emits(groups, source, target, port):
    """Does one of the source's egress rules let it call the target on this port?"""
    for name in groups_of(source):
        for rule in groups[name]["rules"]:
            if rule["direction"] != "egress" or rule["protocol"] != "tcp":
                continue
            there = rule.get("security_group") in groups_of(target) if "security_group" in rule else any(
                ipaddress.ip_address(target["private"]) in ipaddress.ip_network(cidr) for cidr in rule["cidr"]
            )  # fmt: skip
            if there and rule["ports"]["from"] <= port <= rule["ports"]["to"]:
                return True
    return False


def declared(stage, source, target):
    """The ports of `target` that `source` may reach, by the declared rules of both ends."""
    groups = stage.facts["security_groups"]
    inwards = {
        port
        for name in groups_of(target)
        for rule in groups[name]["rules"]
        if admits(stage, rule, source)
        for port in range(rule["ports"]["from"], rule["ports"]["to"] + 1)
    }
    return sorted(p for p in inwards if source is None or emits(groups, source, target, p))


def exactly(open_ports):
    """What a scan has to find where these ports are open: a refusal too would mean that a rule lets the port through."""
    return {name: {"open": numbers, "refused": []} for name, numbers in open_ports.items()}


def known(expected, addresses):
    """A declared port of another machine, to trust a scan by: the highest, because sshd counts who does not log in."""
    port, name = max((port, name) for name, numbers in expected.items() for port in numbers)
    return addresses[name], port


def neighbours(role, stage):
    """What a role's first machine finds at the others, and what is declared."""
    machines, source = stage.facts["machines"], stage.machines(role)[0]
    targets = {name: machine["private"] for name, machine in machines.items() if name != source}
    expected = {name: declared(stage, machines[source], machines[name]) for name in targets}
    given = {"targets": targets, "ports": ports(stage), "control": known(expected, targets)}
    return stage.ask(source, SCAN, given), exactly(expected)


def outside_scan(stage, which, wanted):
    """What who runs this finds at the machines' addresses of one kind, by machine; and what is declared for them."""
    machines = stage.facts["machines"]
    public = {name: machine["public"] for name, machine in machines.items() if machine["public"]}
    expected = {name: declared(stage, None, machines[name]) for name in public}
    targets = {name: machine[which] for name, machine in machines.items() if machine[which]}
    given = {"targets": targets, "ports": wanted, "control": known(expected, public)}
    return answer([sys.executable, "-"], SCAN, given), expected


EARLY = {
    **{f"scan of {role}": functools.partial(neighbours, role) for role in SCANNERS},
    "scans from outside": lambda stage: [
        outside_scan(stage, "public", ports(stage)),
        outside_scan(stage, "private", [22, 80, 443, 8443]),
    ],
}


@pytest.mark.parametrize("scanner", SCANNERS)
def test_neighbours_find_exactly_the_declared_ports(begun, scanner):
    found, expected = begun[f"scan of {scanner}"].result()
    assert found == expected


def test_an_operator_finds_exactly_the_declared_ports_from_outside(begun):
    (found, expected), _ = begun["scans from outside"].result()
    assert found == exactly(expected)


def test_the_internet_does_not_reach_private_addresses(stage, begun):
    _, (found, _) = begun["scans from outside"].result()
    assert found == exactly({name: [] for name in stage.facts["machines"]})
