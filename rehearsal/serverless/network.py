"""The namespace `serverless`: the front lives in it, the instances behind it, each in a namespace of its own.

An instance reaches what a machine behind a gateway reaches: the rehearsal's internet, its resolver, the metadata
service. Nobody but the front reaches an instance, not even another one."""

from __future__ import annotations

import threading
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from rehearsal.places import INTERNET, METADATA, SERVERLESS_EGRESS, Place
from rehearsal.world import shell
from rehearsal.world.firewall import UPLINK
from rehearsal.world.network import BACKBONE, addresses, links, mac_of, make_namespace, set_kernel, tail

if TYPE_CHECKING:
    from rehearsal.serverless.served import Vpc

NAME = "serverless"
RANGE = IPv4Network("100.64.0.0/16")  # RFC 6598: between a provider and those behind it
GATEWAY, RESOLVER = RANGE[1], RANGE[2]
FIRST, LAST = RANGE[256], RANGE[-2]
BRIDGE = "instances"
VPC_RANGE = IPv4Network("198.19.0.0/16")  # where the cloud has serverless containers in a VPC network, as documented
VPC_BRIDGE = "serverless"
_bridging = threading.Lock()
FENCE = f"""table ip stagecraft
delete table ip stagecraft
table ip stagecraft {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{UPLINK}" snat to {SERVERLESS_EGRESS}
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "{BRIDGE}" oifname "{UPLINK}" accept
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    ct state established,related accept
    iifname "{BRIDGE}" ip daddr {RESOLVER} meta l4proto {{ tcp, udp }} th dport 53 accept
    iifname "{BRIDGE}" ip daddr {METADATA} tcp dport 80 accept
    iifname "{BRIDGE}" meta l4proto icmp accept
  }}
}}
"""


def router(place: Place) -> str:
    return place.netns(NAME)


def make(place: Place) -> None:
    """The namespace with its bridge and its way into the internet, which must exist. Idempotent."""
    netns, internet = router(place), place.netns("internet")
    if netns not in shell.namespaces():
        make_namespace(netns)
    there = links(netns)
    if BRIDGE not in there:
        set_kernel(netns, ipv4__ip_forward="1", ipv6__conf__all__disable_ipv6="1")
        shell.ip(
            netns,
            f"link add {BRIDGE} address {mac_of(netns)} type bridge",
            f"link set {BRIDGE} up",
            *(f"addr add {address}/{RANGE.prefixlen} dev {BRIDGE}" for address in (GATEWAY, RESOLVER)),
            f"addr add {METADATA}/32 dev lo",
        )
    if UPLINK not in there:
        shell.ip(
            netns,
            f"link add {UPLINK} type veth peer name u-serverless netns {internet}",
            f"addr add {SERVERLESS_EGRESS}/{INTERNET.prefixlen} dev {UPLINK}",
            f"link set {UPLINK} up",
        )
        shell.ip(internet, f"link set u-serverless master {BACKBONE} up")
    shell.nft(netns, FENCE)


def join(place: Place, instance: str, address: IPv4Address, vpc: Vpc | None = None) -> str:
    """Make the namespace of an instance, with a way into a VPC network if it has one; its name."""
    netns, port = place.netns(instance), f"i-{tail(instance)}"
    make_namespace(netns)
    shell.ip(
        netns,
        f"link add eth0 address {mac_of(instance)} type veth peer name {port} netns {router(place)}",
        f"addr add {address}/{RANGE.prefixlen} dev eth0",
        "link set eth0 up",
        f"route add default via {GATEWAY}",
    )
    shell.ip(
        router(place),
        f"link set {port} master {BRIDGE} up",
        f"link set {port} type bridge_slave isolated on",
    )
    if vpc is not None:
        _join_vpc(netns, instance, address, vpc)
    return netns


def _join_vpc(netns: str, instance: str, address: IPv4Address, vpc: Vpc) -> None:
    """A second link, by which the subnets are reached and nothing else; security groups see its address."""
    port, inside = f"f-{tail(instance)}", VPC_RANGE[int(address) - int(RANGE[0])]
    with _bridging:
        if VPC_BRIDGE not in links(vpc.router):
            shell.ip(
                vpc.router,
                f"link add {VPC_BRIDGE} address {mac_of(VPC_BRIDGE)} type bridge",
                f"link set {VPC_BRIDGE} up",
                f"addr add {VPC_RANGE[1]}/{VPC_RANGE.prefixlen} dev {VPC_BRIDGE}",
            )
    shell.ip(
        netns,
        f"link add eth1 address {mac_of(f'{instance}/1')} type veth peer name {port} netns {vpc.router}",
        f"addr add {inside}/{VPC_RANGE.prefixlen} dev eth1",
        "link set eth1 up",
        *(f"route add {block} via {VPC_RANGE[1]}" for block in vpc.ranges),
    )
    shell.ip(
        vpc.router,
        f"link set {port} master {VPC_BRIDGE} up",
        f"link set {port} type bridge_slave isolated on",
    )


def leave(place: Place, instance: str) -> None:
    """Remove the namespace of an instance, and with it its link."""
    netns = place.netns(instance)
    if netns in shell.namespaces():
        shell.run("ip", "netns", "del", netns)


def address_of(place: Place, instance: str) -> IPv4Address | None:
    """Where an instance is; None where it has no namespace."""
    netns = place.netns(instance)
    found = addresses(netns, "eth0") if netns in shell.namespaces() and "eth0" in links(netns) else set()
    return next((IPv4Address(address.partition("/")[0]) for address in found), None)
