"""Machines."""

from __future__ import annotations

import dataclasses
from typing import Any

from yandex.cloud.compute.v1.instance_pb2 import IPV4

from ..protobuf import put, tidy
from ..values import same
from ..yandex import Field, Ref, Resource, Yandex
from .yandex_disks import DISK, IMAGE
from .yandex_iam import SERVICE_ACCOUNT
from .yandex_vpc import ADDRESS, SECURITY_GROUP, SUBNET


class Instances(Yandex):
    """An instance is also stopped and started."""

    def have(self) -> dict[str, Any]:
        return super().have() | {"power": "running" if self.status() == "RUNNING" else "stopped"}

    # ---- for an export ----
    def parts(self) -> list[str]:
        return [self.raw.boot_disk.disk_id]

    def boot_disk(self) -> Any:
        disk = Yandex(self.session, DISK, {})
        disk.id = self.raw.boot_disk.disk_id
        return disk.call("Get", disk.request("Get"))

    def closer(self, have: dict) -> dict[str, Any]:
        """With what is said at creation only. That it runs is usual."""
        image = self.boot_disk().source_image_id or None
        name, _, domain = self.raw.fqdn.partition(".")
        found = super().closer(have) | {"image": image, "hostname": None if domain.startswith("auto.") else name}
        return found | ({"power": None} if found["power"] == "running" else {})

    def beside(self) -> list[str]:
        """What its boot disk is, and only a disk of its own could be declared as."""
        disk = tidy(self.boot_disk())
        return [f"boot_disk: {n}: {disk[n]}" for n in ("name", "description", "labels", "kms_key") if disk.get(n)]

    # ---- change ----
    def create(self, wanted: dict) -> None:
        super().create(wanted)
        if wanted.get("power") == "stopped":
            self.switch("Stop")

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        """What has to be stopped is stopped first, and is started last, so that it never starts with half a change."""
        power = wanted.get("power") if "power" in changed else None
        rest = [n for n in changed if n not in BY_VERBS]
        if power == "stopped":
            self.switch("Stop")
        if "network_interfaces" in changed:
            self.update_interfaces(wanted["network_interfaces"], self.have()["network_interfaces"])
        if "secondary_disks" in changed:
            self.update_disks(wanted["secondary_disks"], self.have()["secondary_disks"])
        if "disk_size" in changed:
            self.grow(wanted["disk_size"])
        if rest:
            super().update(wanted, rest, stop=stop and power is None)
        elif not power:
            self.look()
        if power == "running":
            self.switch("Start")

    def frozen(self, name: str, want: Any, have: Any) -> bool:
        """Another subnet or private address is another interface; so is a different number of them. Disks only grow."""
        if name == "disk_size":
            return want < have
        if name != "network_interfaces":
            return super().frozen(name, want, have)
        parts = {n: b for n, b in self.bound[name].children.items() if n in ("subnet", "address")}
        rest = dataclasses.replace(self.bound[name], children=parts)
        return not same(rest, want, have)

    def update_interfaces(self, want: list[dict], have: list[dict]) -> None:
        """Security groups and public addresses, each interface by its index, which the order gives."""
        for index, (new, old) in enumerate(zip(want, have, strict=True)):
            groups = new.get("security_groups", [])
            if sorted(groups) != sorted(old["security_groups"]):
                request = self.request("UpdateNetworkInterface", network_interface_index=str(index))
                request.security_group_ids.extend(groups)
                request.update_mask.paths.append("security_group_ids")
                self.call("UpdateNetworkInterface", request)
            moved = new.get("public_address") and new["public_address"] != old["public_address"]
            if old["nat"] and (moved or not new.get("nat")):
                self.call("RemoveOneToOneNat", self.request("RemoveOneToOneNat", network_interface_index=str(index)))
            if new.get("nat") and (moved or not old["nat"]):
                request = self.request("AddOneToOneNat", network_interface_index=str(index))
                request.one_to_one_nat_spec.address = new.get("public_address", "")
                request.one_to_one_nat_spec.ip_version = IPV4
                self.call("AddOneToOneNat", request)

    def update_disks(self, want: list[dict], have: list[dict]) -> None:
        """Disks that leave, or come back otherwise, are detached before any is attached."""
        bound = self.bound["secondary_disks"].one()
        for old in have:
            if not any(same(bound, new, old, item=True) for new in want):
                self.call("DetachDisk", self.request("DetachDisk", disk_id=old["disk"]))
        for new in want:
            if not any(same(bound, new, old, item=True) for old in have):
                request = self.request("AttachDisk")
                for name, value in new.items():
                    put(request.attached_disk_spec, bound.children[name], value, "write")
                self.call("AttachDisk", request)

    def grow(self, size: int) -> None:
        """The boot disk, while it is in use."""
        disk = Yandex(self.session, DISK, {})
        disk.id = self.raw.boot_disk.disk_id
        request = disk.request("Update", size=size)
        request.update_mask.paths.append("size")
        disk.call("Update", request)

    def switch(self, method: str) -> None:
        self.call(method, self.request(method))
        self.look()


BOOT_DISK = "boot_disk.disk_id:compute.v1.Disk"
BY_VERBS = ("power", "network_interfaces", "secondary_disks", "disk_size")

INSTANCE = Resource(
    "compute.v1.Instance",
    backend=Instances,
    view="FULL",
    filled=(
        "boot_disk.mode=read_write",
        "network_interfaces.index",
        "network_settings.type=standard",
        "metadata_options.gce_http_endpoint=enabled",
        "metadata_options.gce_http_token=enabled",
        "metadata_options.aws_v1_http_endpoint=enabled",
        "metadata_options.aws_v1_http_token=disabled",
    ),
    fields=(
        Field("zone", path="zone_id", required=True),
        Field("platform", path="platform_id", default="standard-v3", stops=True),
        Field("cores", path="resources.cores", required=True, stops=True),
        Field("memory", path="resources.memory", required=True, unit="size", stops=True),
        Field("core_fraction", path="resources.core_fraction", default=100, stops=True),
        Field("gpus", path="resources.gpus", stops=True),
        Ref(
            "image",
            IMAGE,
            "Image family to start from.",
            "boot_disk.disk_spec.image_id",
            required=True,
            create_only=True,
        ),
        Field(
            "disk_size",
            "Size of the boot disk; it can only grow, also while the machine runs.",
            "boot_disk.disk_spec.size",
            unit="size",
            required=True,
            verbs=True,
            via=BOOT_DISK,
        ),
        Field("disk_type", path="boot_disk.disk_spec.type_id", default="network-ssd", via=BOOT_DISK),
        Field("auto_delete", path="boot_disk.auto_delete", default=True),
        Field(
            "secondary_disks",
            "Disks beside the boot disk; they are attached and detached while it runs.",
            verbs=True,
            fields=(
                Ref("disk", DISK, required=True),
                Field(
                    "device_name",
                    "The disk is C(/dev/disk/by-id/virtio-<device_name>) in the machine; its id when not set.",
                    computed=True,
                ),
                Field("mode", default="read_write"),
                Field("auto_delete", "Delete it with the machine."),
            ),
        ),
        Field(
            "network_interfaces",
            "Its network interfaces; of an instance that exists the security groups and the public address can change.",
            ordered=True,
            verbs=True,
            required=True,
            fields=(
                Ref("subnet", SUBNET, required=True),
                Ref("security_groups", SECURITY_GROUP, path="security_group_id"),
                Field("address", path="primary_v4_address.address", computed=True),
                Field(
                    "nat",
                    "Give it a public address.",
                    "primary_v4_address.one_to_one_nat",
                    on={"ip_version": "IPV4"},
                    implied="public_address",
                ),
                Ref(
                    "public_address",
                    ADDRESS,
                    "Name of the reserved address to have.",
                    "primary_v4_address.one_to_one_nat.address",
                    take="external_ipv4_address.address",
                    computed=True,
                ),
            ),
        ),
        Field("metadata", "Metadata, cloud-init's user-data and ssh-keys among it."),
        Field("preemptible", path="scheduling_policy.preemptible", stops=True),
        Field("hostname", create_only=True),
        Ref("service_account", SERVICE_ACCOUNT, stops=True),
        Field(
            "power", "Whether it runs. When not set, that is left alone.", virtual=True, choices=("running", "stopped")
        ),
    ),
    example="""
name: api-1
zone: ru-central1-a
cores: 2
memory: 4GB
image: debian-12
disk_size: 20GB
network_interfaces:
  - {subnet: private-a, security_groups: [web], nat: true}
""",
)
