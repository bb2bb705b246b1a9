"""Exactly the declared ports are open, from every neighbour and from outside."""

import ipaddress
import sys

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

SCAN = """
import asyncio, resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # every port has a socket of its own
async def tried(address, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 3)
    except (ConnectionRefusedError, asyncio.TimeoutError):
        return None
    except OSError as error:
        if error.errno in (101, 113):  # the network or the host is unreachable
            return None
        raise
    writer.close()
    return port
async def scan(address):
    return [p for p in await asyncio.gather(*(tried(address, port) for port in given["ports"])) if p]
async def all_of_them():
    return dict(zip(given["targets"], await asyncio.gather(*map(scan, given["targets"].values()))))
print(json.dumps(asyncio.run(all_of_them())))
"""


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


def admits(rule, source):
    """Does an ingress rule let this source in? A source is a machine, or None for somebody outside."""
    if rule["direction"] != "ingress":
        return False
    if "security_group" in rule:
        return source is not None and rule["security_group"] in groups_of(source)
    address = ipaddress.ip_address(source["private"] if source else "203.0.113.1")
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
        if admits(rule, source)
        for port in range(rule["ports"]["from"], rule["ports"]["to"] + 1)
    }
    return sorted(p for p in inwards if source is None or emits(groups, source, target, p))


@pytest.mark.parametrize("scanner", ["bastion", "edge", "backend", "serving", "monitoring"])
def test_neighbours_find_exactly_the_declared_ports(stage, scanner):
    source = stage.machines(scanner)[0]
    machines = stage.facts["machines"]
    others = {name: machine for name, machine in machines.items() if name != source}
    given = {"ports": ports(stage), "targets": {name: machine["private"] for name, machine in others.items()}}
    expected = {name: declared(stage, machines[source], machine) for name, machine in others.items()}
    assert stage.ask(source, SCAN, given) == expected


def outside_scan(targets, wanted):
    """What somebody out there finds open, by the name of the target."""
    return answer([sys.executable, "-"], SCAN, {"ports": wanted, "targets": targets})


def test_the_internet_finds_exactly_the_declared_ports(stage):
    public = {name: machine for name, machine in stage.facts["machines"].items() if machine["public"]}
    found = outside_scan({name: machine["public"] for name, machine in public.items()}, ports(stage))
    assert found == {name: declared(stage, None, machine) for name, machine in public.items()}


def test_the_internet_does_not_reach_private_addresses(stage):
    private = {name: machine["private"] for name, machine in stage.facts["machines"].items()}
    assert outside_scan(private, [22, 80, 443, 8443]) == {name: [] for name in private}
