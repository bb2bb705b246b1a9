"""Compute: disks, images, zones. Instances have a file of their own."""

from __future__ import annotations

import re

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import ZONES
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.service import Call, Service
from rehearsal.cloud.services import compute_instance

DISK_TYPES = ("network-hdd", "network-ssd", "network-ssd-nonreplicated", "network-ssd-io-m3")
NAMES = "|[a-z]([-_a-z0-9]{0,61}[a-z0-9])?"


class Disk(Bound, Kind):
    api = "compute.v1.Disk"
    prefix = "fhm"
    pattern = NAMES
    required = ("folder_id", "zone_id", "size")
    transient = False
    cancellable = ("create",)

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        """Fill in what the API fills in; a disk is at least as big as its image wants."""
        if resource.type_id and resource.type_id not in DISK_TYPES:
            raise invalid(f"type_id: {resource.type_id!r} is none of {', '.join(DISK_TYPES)}")
        resource.type_id = resource.type_id or "network-hdd"
        resource.block_size = resource.block_size or 4096
        if request.image_id:
            resource.source_image_id = request.image_id
            image = call.cloud.get("compute.v1.Image", request.image_id)
            resource.size = resource.size or image.min_disk_size
            if resource.size < image.min_disk_size:
                raise invalid(f"size: image {image.name} needs a disk of at least {image.min_disk_size} bytes")
        if request.snapshot_id:
            resource.source_snapshot_id = request.snapshot_id
            smallest = call.cloud.get("compute.v1.Snapshot", request.snapshot_id).disk_size
            resource.size = resource.size or smallest
            if resource.size < smallest:
                raise invalid(f"size: snapshot {request.snapshot_id} needs a disk of at least {smallest} bytes")
        if resource.size <= 0:
            raise invalid("size: Field is required")

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        if resource.size < before.size:
            raise invalid("size: a disk cannot be made smaller")

    def on_delete(self, call: Call, resource: Message) -> None:
        if resource.instance_ids:
            raise refused(f"Disk {resource.id} is attached to instance {resource.instance_ids[0]}")


class Snapshot(Bound, Kind):
    api = "compute.v1.Snapshot"
    prefix = "fd8"
    pattern = NAMES
    required = ("folder_id", "disk_id")
    transient = False
    cancellable = ("create",)

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        """Fill in what the API reads from the disk."""
        disk = call.cloud.get("compute.v1.Disk", request.disk_id)
        resource.source_disk_id, resource.disk_size, resource.storage_size = disk.id, disk.size, disk.size


class SnapshotSchedule(Bound, Kind):
    """Its disks are kept beside it. No clock runs here: it makes no snapshots."""

    api = "compute.v1.SnapshotSchedule"
    prefix = "fd8"
    pattern = NAMES
    required = ("folder_id",)
    transient = False

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        self._check(resource)
        self.save(call.cloud, resource)
        call.cloud.facts(self.api, resource.id)["disks"] = list(dict.fromkeys(request.disk_ids))

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check(resource)

    def _check(self, schedule: Message) -> None:
        """When, as five fields of cron or as @daily and its like."""
        expression = schedule.schedule_policy.expression
        if not re.fullmatch(r"@(hourly|daily|weekly|monthly)|[-*/,0-9A-Za-z]+( [-*/,0-9A-Za-z]+){4}", expression):
            raise invalid(f"schedule_policy.expression: {expression!r} is no cron expression of five fields")

    def update_disks(self, call: Call, request: Message) -> Message:
        schedule, kept = self.find(call, request), call.cloud.facts(self.api, request.snapshot_schedule_id)
        self.check_idle(call, schedule)
        there = [ident for ident in kept.get("disks", ()) if ident not in request.remove]
        for ident in request.add:
            if call.cloud.get(Disk.api, ident) is None:
                raise not_found("Disk", ident)
        kept["disks"] = list(dict.fromkeys([*there, *request.add]))
        return call.operation(self, schedule, "update", before=schedule)

    def list_disks(self, call: Call, request: Message) -> Message:
        """Those that still are: a deleted disk leaves its schedules."""
        schedule, answer = self.find(call, request), call.answer()
        disks = [call.cloud.get(Disk.api, i) for i in call.cloud.facts(self.api, schedule.id).get("disks", ())]
        found = list(enumerate((disk for disk in disks if disk is not None), 1))
        page, answer.next_page_token = listing.page(found, request.page_size, request.page_token)
        answer.disks.extend(page)
        return answer

    def enable(self, call: Call, request: Message) -> Message:
        return self._switch(call, request, "ACTIVE")

    def disable(self, call: Call, request: Message) -> Message:
        return self._switch(call, request, "INACTIVE")

    def _switch(self, call: Call, request: Message, status: str) -> Message:
        schedule = self.find(call, request)
        self.check_idle(call, schedule)
        self.set_status(schedule, status)
        self.save(call.cloud, schedule)
        return call.operation(self, schedule, "update", before=schedule)


class Image(Bound, Kind):
    """Public images of the folder `standard-images`."""

    api = "compute.v1.Image"
    prefix = "fd8"

    def get_latest_by_family(self, call: Call, request: Message) -> Message:
        found = [i for i in call.cloud.all(self.api) if (i.folder_id, i.family) == (request.folder_id, request.family)]
        if not found:
            raise not_found("Image", f"of family {request.family} in folder {request.folder_id}")
        return found[-1]

    create = update = delete = None


class Zones(Service):
    name = "compute.v1.ZoneService"

    def list(self, call: Call, request: Message) -> Message:
        answer = call.answer()
        for zone in ZONES:
            answer.zones.add(id=zone, region_id="ru-central1", status="UP")
        return answer

    def get(self, call: Call, request: Message) -> Message:
        answer = call.answer()
        if request.zone_id not in ZONES:
            raise not_found("Zone", request.zone_id)
        answer.id, answer.region_id, answer.status = request.zone_id, "ru-central1", answer.UP
        return answer


class DiskTypes(Service):
    name = "compute.v1.DiskTypeService"

    def list(self, call: Call, request: Message) -> Message:
        answer = call.answer()
        for ident in DISK_TYPES:
            answer.disk_types.add(id=ident, zone_ids=ZONES)
        return answer


SERVICES = (Disk, Snapshot, SnapshotSchedule, Image, Zones, DiskTypes, compute_instance.Instance)
