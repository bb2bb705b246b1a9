"""Whose tokens a machine gets. tests/e2e/test_machines.py asks from inside a machine."""

from __future__ import annotations

import pytest
from described_cloud import instance
from yandex.cloud.vpc.v1.network_pb2 import Network
from yandex.cloud.vpc.v1.subnet_pb2 import Subnet

from rehearsal.world.metadata import account_of


@pytest.fixture
def two_networks(cloud):
    """The small VPC, and another network that uses the same addresses."""
    cloud.messages["Network"].append(Network(id="far"))
    cloud.messages["Subnet"].append(Subnet(id="sub-far", network_id="far", v4_cidr_blocks=["10.0.0.0/24"]))
    cloud.messages["Instance"].append(instance("far", "10.0.0.6", subnet="sub-far"))
    for machine in cloud.messages["Instance"]:
        if machine.name != "bastion":
            machine.service_account_id = f"aje-{machine.name}"
    return cloud


@pytest.mark.parametrize(
    ("network", "address", "account"),
    [
        ("net", "10.0.0.6", "aje-backend"),
        ("far", "10.0.0.6", "aje-far"),
        ("net", "10.0.0.5", ""),
        ("net", "10.0.0.99", ""),
        ("gone", "10.0.0.6", ""),
    ],
    ids=["its own", "the same address elsewhere", "a machine without an account", "no machine", "no network"],
)
def test_a_machine_gets_the_tokens_of_its_own_account(two_networks, network, address, account):
    assert account_of(two_networks, network, address) == account
