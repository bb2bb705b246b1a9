"""Disks, what they are made from, and their snapshots."""

from __future__ import annotations

from typing import Any

from ..yandex import Field, Ref, Resource, Yandex

PUBLIC_IMAGES = "standard-images"


class Family(Yandex):
    """An image family is found by name, in the folder of the cloud's own images, and is never made."""

    def find(self) -> dict | None:
        request = self.request("GetLatestByFamily", folder_id=PUBLIC_IMAGES, family=self.keys["name"])
        self.raw = self.call("GetLatestByFamily", request)
        self.id = self.raw.id if self.raw else ""
        return {} if self.raw else None

    def name_of(self, ident: str) -> str:
        self.id = ident
        image = self.call("Get", self.request("Get"))
        return image.family if image is not None and image.folder_id == PUBLIC_IMAGES else ""

    def names(self) -> list[str]:
        return sorted({row.family for row in self.rows_of_kind(folder_id=PUBLIC_IMAGES) if row.family})


class Disks(Yandex):
    """A disk grows while it is in use, and never shrinks."""

    def frozen(self, name: str, want: Any, have: Any) -> bool:
        return want < have if name == "size" else super().frozen(name, want, have)

    def closer(self, have: dict) -> dict[str, Any]:
        return super().closer(have) | {"image": self.raw.source_image_id, "snapshot": self.raw.source_snapshot_id}


class Snapshots(Yandex):
    """Create calls the disk otherwise than the snapshot does."""

    def have(self) -> dict[str, Any]:
        return super().have() | {"disk": self.raw.source_disk_id}

    def closer(self, have: dict) -> dict[str, Any]:
        return super().closer(have) | {"instance": self.raw.source_disk_id}


class SnapshotSchedules(Yandex):
    """Its disks are a list of their own, changed by deltas."""

    def have(self) -> dict[str, Any]:
        disks = list(self.session.pages(self.service, "ListDisks", snapshot_schedule_id=self.id))
        return super().have() | {option: [disk.id for disk in disks] for option in OF_DISKS}

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        option = next((n for n in OF_DISKS if n in changed), None)
        if option:
            there, disks = set(self.have()[option]), set(wanted[option])
            request = self.request("UpdateDisks")
            request.add.extend(sorted(disks - there))
            request.remove.extend(sorted(there - disks))
            self.call("UpdateDisks", request)
        rest = [n for n in changed if n not in OF_DISKS]
        if rest:
            super().update(wanted, rest)
        else:
            self.look()


OF_DISKS = ("disks", "instances")
BOOT_DISK = "boot_disk.disk_id"
INSTANCE_NAME = Resource("compute.v1.Instance")  # to refer to; yandex_compute declares it
IMAGE = Resource("compute.v1.Image", backend=Family, parent=None)
SNAPSHOT_NAME = Resource("compute.v1.Snapshot")

DISK = Resource(
    "compute.v1.Disk",
    backend=Disks,
    fields=(
        Field("zone", path="zone_id", required=True),
        Field("size", "Its size; a disk can only grow, also while it is in use.", unit="size", required=True),
        Field("type", path="type_id", default="network-ssd"),
        Ref("image", IMAGE, "Image family to start from; empty when not set.", create_only=True),
        Ref("snapshot", SNAPSHOT_NAME, "Name of the snapshot to start from.", create_only=True),
        Field("block_size", unit="size", usual=4096),
    ),
    example="""
name: data-1
zone: ru-central1-a
size: 100GB
""",
)

SNAPSHOT = Resource(
    "compute.v1.Snapshot",
    backend=Snapshots,
    fields=(
        Ref("disk", DISK, "Name of the disk."),
        Ref(
            "instance",
            INSTANCE_NAME,
            "Name of the instance whose boot disk it is of.",
            "disk_id",
            take=BOOT_DISK,
            create_only=True,
        ),
    ),
    example="""
name: api-1-before-upgrade
instance: api-1
""",
)

SNAPSHOT_SCHEDULE = Resource(
    "compute.v1.SnapshotSchedule",
    backend=SnapshotSchedules,
    fields=(
        Field("expression", "When, as cron writes it, in UTC.", "schedule_policy.expression", required=True),
        Field("snapshot_count", "How many of a disk's snapshots are kept."),
        Field("retention_period", "How long snapshots are kept.", unit="duration"),
        Field("snapshot_description", "Description of the snapshots that it makes.", "snapshot_spec.description"),
        Field("snapshot_labels", "Labels of the snapshots that it makes.", "snapshot_spec.labels"),
        Ref("disks", DISK, "Disks that it makes snapshots of.", "disk_id", verbs=True),
        Ref(
            "instances",
            INSTANCE_NAME,
            "Instances whose boot disks it makes snapshots of.",
            "disk_id",
            take=BOOT_DISK,
            verbs=True,
        ),
    ),
    example="""
name: nightly
expression: "0 2 * * *"
snapshot_count: 7
instances: [api-1, api-2]
""",
)
