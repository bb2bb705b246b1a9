"""Folders beside the rehearsal's own, and the quotas of the cloud as Quota Manager tells them."""

from __future__ import annotations

import time

import grpc
import pytest
from cloud_client import refused
from google.protobuf.timestamp_pb2 import Timestamp

from rehearsal.cloud import admin

Code = grpc.StatusCode
CLOUD = "resource-manager.cloud"


@pytest.fixture
def folders(emulator, client):
    """The service of folders, for an account that may make some."""
    grant(emulator, "admin")
    return client.api("resourcemanager.v1.Folder")


def grant(emulator, role: str) -> None:
    """As who owns the cloud would."""
    admin.ask(emulator.folder, "roles.grant", role=role)


def names(client, folders) -> set[str]:
    """The names of the folders that are there."""
    return {folder.name for folder in folders.List(cloud_id=client.cloud).folders}


def test_who_has_no_role_on_the_cloud_makes_no_folder(client):
    folders = client.api("resourcemanager.v1.Folder")
    refused(Code.PERMISSION_DENIED, lambda: folders.Create(cloud_id=client.cloud, name="mine"), client.cloud)


def test_a_folder_is_made_used_and_deleted_when_it_is_empty(client, folders):
    made = folders.Create(cloud_id=client.cloud, name="mine", labels={"team": "x"})
    assert made.status == made.ACTIVE and folders.Get(folder_id=made.id).cloud_id == client.cloud
    refused(Code.ALREADY_EXISTS, lambda: folders.Create(cloud_id=client.cloud, name="mine"))
    refused(Code.PERMISSION_DENIED, lambda: folders.Create(cloud_id="b1gnothere", name="other"))
    networks = client.api("vpc.v1.Network")
    network = networks.Create(folder_id=made.id, name="main")
    assert not networks.List(folder_id=client.folder).networks
    refused(Code.UNIMPLEMENTED, lambda: folders.Delete(folder_id=made.id, delete_after=Timestamp(seconds=1)), "vpc.v1")
    networks.Delete(network_id=network.id)
    folders.Delete(folder_id=made.id, delete_after=Timestamp(seconds=int(time.time())))
    assert names(client, folders) == {"default"}
    refused(Code.NOT_FOUND, lambda: networks.Create(folder_id=made.id, name="late"))


@pytest.mark.parametrize("when", [None, 3600])
def test_a_folder_that_is_to_go_later_is_still_there(client, folders, when):
    made = folders.Create(cloud_id=client.cloud, name="later")
    more = {} if when is None else {"delete_after": Timestamp(seconds=int(time.time()) + when)}
    folders.Delete(folder_id=made.id, **more)
    assert folders.Get(folder_id=made.id).status == made.PENDING_DELETION


def test_quotas_are_told_with_limit_and_usage(emulator, client):
    quotas = client.api("quotamanager.v1.QuotaLimit")
    whose = {"id": client.cloud, "type": CLOUD}
    refused(Code.PERMISSION_DENIED, lambda: quotas.Get(resource=whose, quota_id="vpc.networks.count"), "quota-manager")
    grant(emulator, "quota-manager.viewer")
    emulator.cloud.quotas.set("vpc.networks.count", 3)
    client.network()
    told = quotas.Get(resource=whose, quota_id="vpc.networks.count")
    assert (told.limit.value, told.usage.value) == (3, 1)
    assert not quotas.Get(resource=whose, quota_id="vpc.subnets.count").HasField("limit")
    listed = quotas.List(resource=whose, service="vpc").quota_limits
    assert {q.quota_id for q in listed} >= {"vpc.networks.count", "vpc.subnets.count"}
    assert all(q.quota_id.startswith("vpc.") for q in listed)
    first = quotas.List(resource=whose, service="vpc", page_size=2)
    rest = quotas.List(resource=whose, service="vpc", page_token=first.next_page_token).quota_limits
    assert [q.quota_id for q in (*first.quota_limits, *rest)] == [q.quota_id for q in listed]
    assert "compute" in {service.id for service in quotas.ListServices(resource_type=CLOUD).services}
    refused(Code.NOT_FOUND, lambda: quotas.Get(resource=whose, quota_id="vpc.unicorns.count"))
    refused(Code.NOT_FOUND, lambda: quotas.Get(resource=whose | {"id": "b1gother"}, quota_id="vpc.networks.count"))
    refused(Code.INVALID_ARGUMENT, lambda: quotas.List(resource=whose | {"type": "x"}, service="vpc"), "resource.type")


def test_a_role_that_is_none_is_not_granted(emulator):
    with pytest.raises(admin.AdminError, match="no role adminn"):
        grant(emulator, "adminn")
