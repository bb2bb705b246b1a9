"""Quotas: the refusal names what is used up, with its limit and its usage; nothing of the refused call stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from cloud_client import Client, refused
from google.rpc.status_pb2 import Status
from yandex.cloud.quota.quota_pb2 import QuotaFailure
from yandex.cloud.vpc.v1.network_service_pb2 import CreateNetworkRequest
from yandex.cloud.vpc.v1.network_service_pb2_grpc import NetworkServiceStub

from rehearsal.cloud import admin, server

Code = grpc.StatusCode
GIB = 1 << 30


def limit(emulator, name: str, value: int) -> None:
    admin.ask(emulator.folder, "quotas.set", name=name, limit=value)


def listed(emulator) -> dict[str, tuple[int | None, int]]:
    return {row["name"]: (row["limit"], row["usage"]) for row in admin.ask(emulator.folder, "quotas.list")}


def test_the_refusal_carries_the_quota(emulator, client):
    limit(emulator, "vpc.networks.count", 1)
    client.network()
    refused(Code.RESOURCE_EXHAUSTED, lambda: client.network("second"), "Quota limit vpc.networks.count exceeded")
    request = CreateNetworkRequest(folder_id=client.folder, name="second")
    with pytest.raises(grpc.RpcError) as caught:
        client.sdk.client(NetworkServiceStub).Create(request)
    status = Status.FromString(dict(caught.value.trailing_metadata())[server.DETAILS])
    failure = QuotaFailure()
    assert status.code == Code.RESOURCE_EXHAUSTED.value[0] and status.details[0].Unpack(failure)
    metric = failure.violations[0].metric
    assert (metric.name, metric.limit, metric.usage) == ("vpc.networks.count", 1, 1)
    assert failure.violations[0].required == 2
    assert [n.name for n in emulator.cloud.all("vpc.v1.Network")] == ["main"]
    assert len(emulator.cloud.all("vpc.v1.SecurityGroup")) == 1  # that of the refused network is gone with it


def test_sums_are_counted_and_room_is_made_by_deleting(emulator, client):
    subnet = client.subnet(client.network())
    limit(emulator, "compute.instanceCores.count", 4)
    limit(emulator, "compute.hddDisks.size", 20 * GIB)
    first = client.instance(subnet, "a")
    client.instance(subnet, "b")
    error = refused(Code.RESOURCE_EXHAUSTED, lambda: client.instance(subnet, "c"), "compute.instanceCores.count")
    assert "total size of network-hdd disks" in error.message  # both at once
    assert listed(emulator)["compute.hddDisks.size"] == (20 * GIB, 20 * GIB)
    client.api("compute.v1.Instance").Delete(instance_id=first.id)
    assert client.instance(subnet, "c").name == "c"


def test_public_addresses_are_a_quota_of_the_network(emulator, client):
    subnet = client.subnet(client.network())
    limit(emulator, "vpc.externalAddresses.count", 1)
    client.instance(subnet, "a", nat={})
    refused(Code.RESOURCE_EXHAUSTED, lambda: client.instance(subnet, "b", nat={}), "vpc.externalAddresses.count")
    assert client.instance(subnet, "b").name == "b"


def test_a_limit_below_the_usage_hinders_only_growth(emulator, client):
    network = client.network()
    limit(emulator, "vpc.networks.count", 0)
    networks = client.api("vpc.v1.Network")
    assert networks.Update(network_id=network.id, description="d", mask="description").description == "d"
    networks.Delete(network_id=network.id)
    refused(Code.RESOURCE_EXHAUSTED, client.network)


def test_what_is_published_holds_in_a_rehearsal_and_survives_a_restart(tmp_path, world):
    emulator = server.start(tmp_path, quotas=True, world=world)
    client = Client(emulator.env)
    client.network("a"), client.network("b")
    refused(Code.RESOURCE_EXHAUSTED, lambda: client.network("c"), "vpc.networks.count")
    limit(emulator, "vpc.networks.count", 3)
    emulator.stop()
    emulator = server.start(tmp_path, quotas=True, world=world)
    Client(emulator.env).network("c")
    assert listed(emulator)["vpc.networks.count"] == (3, 3) and listed(emulator)["compute.instances.count"] == (12, 0)
    emulator.stop()


def test_bad_limits_are_refused(emulator):
    with pytest.raises(admin.AdminError, match=r"no quota here; one of: compute\.instances\.count"):
        limit(emulator, "compute.instances", 1)
    with pytest.raises(admin.AdminError, match="negative"):
        limit(emulator, "compute.instances.count", -1)


def test_the_process_enforces_what_is_published_unless_told_otherwise(tmp_path):
    for flags, expected in (((), 2), (("--no-quotas",), None)):
        folder = tmp_path / str(expected)
        command = [sys.executable, "-m", "rehearsal.cloud", "--folder", str(folder), *flags]
        with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline().startswith("ready ")
            rows = {row["name"]: row["limit"] for row in admin.ask(folder, "quotas.list")}
            process.terminate()
        assert rows["vpc.networks.count"] == expected
