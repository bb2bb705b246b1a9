"""Disks: attached, grown, copied; and what of that is refused."""

from __future__ import annotations

import grpc
import pytest
from cloud_client import GIB, Failed, refused

Code = grpc.StatusCode


@pytest.fixture
def disks(client):
    return client.api("compute.v1.Disk")


@pytest.fixture
def data(client, disks):
    return disks.Create(folder_id=client.folder, name="data", zone_id="ru-central1-a", size=10 * GIB)


@pytest.fixture
def instance(client):
    return client.instance(client.subnet(client.network()), "vm")


def test_a_disk_is_attached_to_one_instance_and_detached(client, disks, data, instance):
    instances = client.api("compute.v1.Instance")
    where = {"instance_id": instance.id}
    spec = {"disk_id": data.id, "device_name": "data", "auto_delete": False}
    attached = instances.AttachDisk(**where, attached_disk_spec=spec)
    assert [(d.disk_id, d.device_name, d.mode) for d in attached.secondary_disks] == [(data.id, "data", 2)]
    assert list(disks.Get(disk_id=data.id).instance_ids) == [instance.id]
    refused(Code.FAILED_PRECONDITION, lambda: instances.AttachDisk(**where, attached_disk_spec=spec), "is attached to")
    refused(Code.FAILED_PRECONDITION, lambda: disks.Delete(disk_id=data.id), instance.id)
    boot = instance.boot_disk.disk_id
    refused(Code.FAILED_PRECONDITION, lambda: instances.DetachDisk(**where, disk_id=boot), "boot disk")
    assert not instances.DetachDisk(**where, device_name="data").secondary_disks
    refused(Code.NOT_FOUND, lambda: instances.DetachDisk(**where, disk_id=data.id))
    disks.Delete(disk_id=data.id)


def test_what_cannot_be_attached(client, disks, data, instance):
    instances = client.api("compute.v1.Instance")
    other = disks.Create(folder_id=client.folder, zone_id="ru-central1-b", size=10 * GIB)
    for spec, code, words in (
        ({"disk_id": other.id}, Code.INVALID_ARGUMENT, "is in ru-central1-b"),
        ({"disk_id": "fhmnothing"}, Code.NOT_FOUND, "fhmnothing"),
        ({}, Code.INVALID_ARGUMENT, "one of disk_spec, disk_id"),
        (
            {"disk_id": data.id, "device_name": instance.boot_disk.device_name},
            Code.INVALID_ARGUMENT,
            "device_name",
        ),
    ):
        call = {"instance_id": instance.id, "attached_disk_spec": spec}
        refused(code, lambda call=call: instances.AttachDisk(**call), words)
    assert not disks.Get(disk_id=data.id).instance_ids


def test_an_attachment_that_fails_leaves_the_disk_free(emulator, client, disks, data, instance):
    emulator.faults.add("compute.v1.InstanceService.AttachDisk", effect="fail_operation", code="INTERNAL")
    instances = client.api("compute.v1.Instance")
    with pytest.raises(Failed):
        instances.AttachDisk(instance_id=instance.id, attached_disk_spec={"disk_id": data.id})
    assert not disks.Get(disk_id=data.id).instance_ids
    assert not instances.Get(instance_id=instance.id).secondary_disks
    assert list(disks.Get(disk_id=instance.boot_disk.disk_id).instance_ids) == [instance.id]


def test_disks_grow_in_use_and_come_from_snapshots(client, disks, instance):
    boot = {"disk_id": instance.boot_disk.disk_id}
    assert disks.Update(**boot, size=20 * GIB, mask="size").size == 20 * GIB
    refused(Code.INVALID_ARGUMENT, lambda: disks.Update(**boot, size=10 * GIB, mask="size"), "smaller")
    saved = client.api("compute.v1.Snapshot").Create(folder_id=client.folder, **boot)
    assert (saved.source_disk_id, saved.disk_size) == (boot["disk_id"], 20 * GIB)
    again = {"folder_id": client.folder, "zone_id": "ru-central1-a", "snapshot_id": saved.id}
    refused(Code.INVALID_ARGUMENT, lambda: disks.Create(**again, size=10 * GIB), "needs a disk of at least")
    assert disks.Create(**again, size=30 * GIB).source_snapshot_id == saved.id


def test_schedules_know_their_disks(client, disks, data):
    schedules = client.api("compute.v1.SnapshotSchedule")
    wanted = {"folder_id": client.folder, "name": "nightly", "schedule_policy": {"expression": "0 2 * * *"}}
    schedule = schedules.Create(**wanted, snapshot_count=7, disk_ids=[data.id])
    where = {"snapshot_schedule_id": schedule.id}
    assert [d.id for d in schedules.ListDisks(**where).disks] == [data.id]
    assert schedules.Disable(**where).status == schedule.INACTIVE
    assert schedules.Update(**where, description="x", mask="description").status == schedule.INACTIVE
    refused(Code.NOT_FOUND, lambda: schedules.UpdateDisks(**where, add=["fhmnothing"]))
    wrong = {**where, "schedule_policy": {"expression": "soon"}, "mask": "schedule_policy"}
    refused(Code.INVALID_ARGUMENT, lambda: schedules.Update(**wrong), "cron")
    disks.Delete(disk_id=data.id)
    assert not schedules.ListDisks(**where).disks
