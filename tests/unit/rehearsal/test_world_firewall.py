"""Security groups and address translation as nftables text. tests/e2e/test_machines.py sends packets through them."""

from __future__ import annotations

import pytest
from described_cloud import EGRESS, INGRESS, rule

from rehearsal.world import firewall, topology


def rules_of(cloud, name: str) -> list[str]:
    """The accepting lines of one instance's firewall."""
    wanted = topology.read(cloud)
    text = firewall.endpoint(wanted, wanted.endpoints[f"fhm-{name}"])
    return [line.strip() for line in text.splitlines() if line.strip().endswith("accept") and "eth0" in line]


def test_what_no_rule_allows_is_dropped_both_ways(cloud):
    wanted = topology.read(cloud)
    text = firewall.endpoint(wanted, wanted.endpoints["fhm-bastion"])
    assert "hook input priority filter; policy drop;" in text
    assert "hook output priority filter; policy drop;" in text


def test_a_rule_by_range_and_port(cloud):
    assert 'iifname "eth0" ip saddr { 198.51.100.0/24 } tcp dport 22 accept' in rules_of(cloud, "bastion")


def test_the_subnets_resolver_is_always_reachable(cloud):
    del cloud.messages["SecurityGroup"][0].rules[:]
    assert rules_of(cloud, "bastion") == [
        'oifname "eth0" ip daddr 10.0.0.2 udp dport 53 accept',
        'oifname "eth0" ip daddr 10.0.0.2 tcp dport 53 accept',
    ]


@pytest.mark.parametrize("target", [{"predefined_target": "self_security_group"}, {"security_group_id": "sg-web"}])
def test_a_rule_for_a_group_means_the_addresses_of_its_members(cloud, target):
    cloud.messages["SecurityGroup"][0].rules.append(rule(INGRESS, "TCP", (8000, 8002), **target))
    expected = 'iifname "eth0" ip saddr { 10.0.0.5, 10.0.0.6 } tcp dport 8000-8002 accept'
    assert expected in rules_of(cloud, "backend")


def test_a_rule_for_a_group_without_members_allows_nobody(cloud):
    before = rules_of(cloud, "backend")
    cloud.messages["SecurityGroup"][0].rules.append(rule(INGRESS, "TCP", (1, 9), security_group_id="nobody"))
    assert rules_of(cloud, "backend") == before


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (rule(INGRESS, "UDP", (53, 53), cidr="10.0.0.0/8"), "ip saddr { 10.0.0.0/8 } udp dport 53"),
        (rule(INGRESS, "ICMP", cidr="10.0.0.0/8"), "ip saddr { 10.0.0.0/8 } meta l4proto icmp"),
        (rule(INGRESS, "ANY", cidr="10.0.0.0/8"), "ip saddr { 10.0.0.0/8 }"),
        (rule(INGRESS, "TCP", (0, 65535), cidr="10.0.0.0/8"), "ip saddr { 10.0.0.0/8 } meta l4proto tcp"),
        (rule(INGRESS, "ANY", (80, 81), cidr="10.0.0.0/8"), "ip saddr { 10.0.0.0/8 } tcp dport 80-81"),
        (rule(INGRESS, "", protocol_number=6, ports=(9, 9), cidr="10.0.0.0/8"), "ip saddr { 10.0.0.0/8 } tcp dport 9"),
        (rule(EGRESS, "TCP", (443, 443), cidr="10.0.0.0/8"), "ip daddr { 10.0.0.0/8 } tcp dport 443"),
        (rule(INGRESS, "TCP", (443, 443), cidr="0.0.0.0/0"), "meta nfproto ipv4 tcp dport 443"),
    ],
)
def test_protocols_and_ports(cloud, made, expected):
    cloud.messages["SecurityGroup"][0].rules.append(made)
    side = "oifname" if made.direction == EGRESS else "iifname"
    assert f'{side} "eth0" {expected} accept' in rules_of(cloud, "bastion")


def test_an_interface_without_a_group_is_open_where_the_network_has_no_default_group(cloud):
    assert 'iifname "eth0" meta nfproto ipv4 accept' in rules_of(cloud, "open")


def test_an_interface_without_a_group_follows_the_networks_default_group(cloud):
    cloud.messages["Network"][0].default_security_group_id = "sg-web"
    assert 'iifname "eth0" ip saddr { 198.51.100.0/24 } tcp dport 22 accept' in rules_of(cloud, "open")
    cloud.messages["SecurityGroup"][0].rules.append(rule(INGRESS, "ANY", predefined_target="self_security_group"))
    assert 'iifname "eth0" ip saddr { 10.0.0.5, 10.0.0.6, 10.0.1.7 } accept' in rules_of(cloud, "backend")


def test_only_public_addresses_lead_in_and_only_the_translated_lead_out(cloud):
    text = firewall.router(topology.read(cloud), "net", "198.51.100.16")
    assert 'iifname "uplink" dnat to ip daddr map { 198.51.100.64 : 10.0.0.5 }' in text
    assert 'oifname "uplink" snat to ip saddr map { 10.0.0.5 : 198.51.100.64 }' in text
    assert 'oifname "uplink" ip saddr { 10.0.0.0/24 } snat to 198.51.100.16' in text
    assert 'oifname "uplink" ip saddr { 10.0.0.5, 10.0.0.0/24 } accept' in text
    assert "10.0.1" not in text


def test_a_network_without_gateway_and_public_address_leads_nowhere(cloud):
    cloud.messages["RouteTable"].clear()
    cloud.messages["Instance"].clear()
    text = firewall.router(topology.read(cloud), "net", "198.51.100.16")
    assert "nat to" not in text
    assert 'oifname "uplink" ip' not in text
