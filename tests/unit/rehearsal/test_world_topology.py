"""What the cloud says of its VPC, as plain values."""

from __future__ import annotations

from ipaddress import IPv4Address

from rehearsal.world import topology
from rehearsal.world.topology import Endpoint, Interface


def test_only_a_subnet_whose_route_table_has_a_gateway_is_translated(cloud):
    read = topology.read(cloud)
    assert {name: subnet.nat for name, subnet in read.subnets.items()} == {"sub-a": True, "sub-b": False}


def test_a_subnets_first_address_routes_and_its_second_answers_names(cloud):
    subnet = topology.read(cloud).subnets["sub-a"]
    assert (subnet.gateway, subnet.resolver) == (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"))


def test_an_instance_is_an_endpoint_with_its_names_and_public_address(cloud):
    bastion = topology.read(cloud).endpoints["fhm-bastion"]
    assert bastion.names == ("bastion.ru-central1.internal", "fhm-bastion.auto.internal")
    assert bastion.interfaces[0].public == IPv4Address("198.51.100.64")


def test_what_is_not_an_instance_joins_the_network_and_an_endpoint_of_a_deleted_subnet_does_not(cloud):
    host = Endpoint("host", ("db.example",), (Interface("sub-b", IPv4Address("10.0.1.9")),))
    lost = Endpoint("lost", (), (Interface("gone", IPv4Address("10.9.0.9")),))
    read = topology.read(cloud, [host, lost])
    assert read.endpoints["host"] == host
    assert "lost" not in read.endpoints


def test_a_gateway_for_some_other_range_is_no_way_out(cloud):
    cloud.messages["RouteTable"][0].static_routes[0].destination_prefix = "172.16.0.0/12"
    assert not topology.read(cloud).subnets["sub-a"].nat
