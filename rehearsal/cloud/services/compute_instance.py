"""Instances: each is a real machine behind the World."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message

from rehearsal.cloud import addresses
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call
from rehearsal.cloud.shapes import apply_mask

DISK = "compute.v1.Disk"
PLATFORMS = (
    *("standard-v1", "standard-v2", "standard-v3", "standard-v4a", "highfreq-v3", "amd-v1"),
    *("gpu-standard-v1", "gpu-standard-v2", "gpu-standard-v3", "gpu-standard-v3i", "standard-v3-t4", "standard-v3-t4i"),
)


class Instance(Bound, Kind):
    api = "compute.v1.Instance"
    prefix = "fhm"
    pattern = "|[a-z]([-_a-z0-9]{0,61}[a-z0-9])?"
    required = ("folder_id", "zone_id", "platform_id", "resources_spec", "boot_disk_spec", "network_interface_specs")
    networked = True
    transient = False  # a running instance stays so while its labels change

    # ---- creation ----
    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        if resource.platform_id not in PLATFORMS:
            raise invalid(f"platform_id: Platform {resource.platform_id!r} not found; there are {', '.join(PLATFORMS)}")
        resource.resources.core_fraction = resource.resources.core_fraction or 100
        self._check_resources(resource)
        resource.fqdn = (
            f"{request.hostname}.ru-central1.internal" if request.hostname else f"{resource.id}.auto.internal"
        )
        if "." in request.hostname:
            resource.fqdn = request.hostname
        del resource.network_interfaces[:]
        for index, spec in enumerate(request.network_interface_specs):
            self._interface(call, resource, spec, index)
        self._disk(call, resource, request.boot_disk_spec, resource.boot_disk)
        del resource.secondary_disks[:]
        for spec in request.secondary_disk_specs:
            self._disk(call, resource, spec, resource.secondary_disks.add())

    def _check_resources(self, instance: Message) -> None:
        if instance.resources.cores <= 0 or instance.resources.memory <= 0:
            raise invalid("resources_spec: cores and memory are required")
        if instance.resources.core_fraction not in (5, 20, 50, 100):
            raise invalid("resources_spec.core_fraction: Value must be one of 5, 20, 50, 100")
        if instance.resources.gpus and not ("gpu" in instance.platform_id or "t4" in instance.platform_id):
            raise invalid(f"resources_spec.gpus: platform {instance.platform_id} has no GPUs")

    def _interface(self, call: Call, instance: Message, spec: Message, index: int) -> None:
        cloud = call.cloud
        if not spec.subnet_id:
            raise invalid("network_interface_specs.subnet_id: Field is required")
        subnet = cloud.get("vpc.v1.Subnet", spec.subnet_id)
        if subnet.zone_id != instance.zone_id:
            raise invalid(
                f"network_interface_specs: subnet {subnet.name} is in {subnet.zone_id}, not in {instance.zone_id}"
            )
        self._check_groups(cloud, spec.security_group_ids, subnet)
        wanted = spec.primary_v4_address_spec
        own = addresses.private(cloud, subnet.id, wanted.address)
        interface = instance.network_interfaces.add(index=str(index), subnet_id=subnet.id)
        digest = hashlib.sha256(f"{instance.id}/{index}".encode()).hexdigest()
        interface.mac_address = "d0:0d:" + ":".join(digest[i : i + 2] for i in range(0, 8, 2))
        interface.security_group_ids.extend(spec.security_group_ids)
        interface.primary_v4_address.address = own
        if wanted.HasField("one_to_one_nat_spec"):
            self._nat(cloud, instance, interface, wanted.one_to_one_nat_spec)
        self.save(cloud, instance)  # so that the next interface sees these addresses taken

    def _check_groups(self, cloud: Cloud, groups: list[str], subnet: Message) -> None:
        for ident in groups:
            group = cloud.get("vpc.v1.SecurityGroup", ident)
            if group.network_id != subnet.network_id:
                raise invalid(f"security_group_ids: group {group.name or group.id} belongs to another network")

    def _nat(self, cloud: Cloud, instance: Message, interface: Message, spec: Message) -> None:
        nat = interface.primary_v4_address.one_to_one_nat
        nat.address = addresses.public(cloud, spec.address, instance.zone_id)
        nat.ip_version = spec.ip_version or 1

    def _disk(self, call: Call, instance: Message, spec: Message, attached: Message) -> None:
        """Make the disk, or take one that is there."""
        kind = call.cloud.kind(DISK)
        if spec.HasField("disk_spec"):
            disk = kind.make(call, spec.disk_spec, folder_id=instance.folder_id, zone_id=instance.zone_id)
            kind.set_status(disk, "READY")
        elif spec.disk_id:
            disk = call.cloud.get(DISK, spec.disk_id)
            if disk.instance_ids:
                raise refused(f"Disk {disk.id} is attached to instance {disk.instance_ids[0]}")
            if disk.zone_id != instance.zone_id:
                raise invalid(f"disk_id: disk {disk.id} is in {disk.zone_id}, not in {instance.zone_id}")
        else:
            raise invalid("disk: one of disk_spec, disk_id is required")
        disk.instance_ids.append(instance.id)
        kind.save(call.cloud, disk)
        attached.mode, attached.auto_delete, attached.disk_id = (
            spec.mode or attached.READ_WRITE,
            spec.auto_delete,
            disk.id,
        )
        attached.device_name = spec.device_name or disk.id
        names = [d.device_name for d in (instance.boot_disk, *instance.secondary_disks)]
        if len(set(names)) < len(names):
            raise invalid(f"device_name: instance {instance.id} has a disk {attached.device_name} already")

    # ---- reading ----
    def view(self, cloud: Cloud, resource: Message, request: Message) -> Message:
        """Metadata may hold secrets: only the full view shows it."""
        if not getattr(request, "view", 0):
            resource.metadata.clear()
        return resource

    def get_serial_port_output(self, call: Call, request: Message) -> Message:
        instance, answer = self.find(call, request), call.answer()

        def read() -> None:
            answer.contents = call.cloud.world.serial_output(call.cloud, instance)

        call.later.append(read)
        return answer

    # ---- changes ----
    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        if resource.status != resource.STOPPED:
            for field in ("resources", "platform_id", "scheduling_policy", "network_settings"):
                if getattr(resource, field) != getattr(before, field):
                    raise refused(f"{field}: Instance {resource.id} must be stopped for this change")
        resource.resources.core_fraction = resource.resources.core_fraction or 100
        self._check_resources(resource)

    def update_metadata(self, call: Call, request: Message) -> Message:
        instance, before = self._taken(call, request)
        for key in request.delete:
            instance.metadata.pop(key, None)
        instance.metadata.update(request.upsert)
        return self._changed(call, instance, before)

    def update_network_interface(self, call: Call, request: Message) -> Message:
        instance, before = self._taken(call, request)
        interface = self._interface_of(instance, request.network_interface_index)
        call.cloud.check_references(request)
        address = "primary_v4_address_spec"
        for path in request.update_mask.paths or ["security_group_ids", address]:
            if path == "security_group_ids":
                subnet = call.cloud.get("vpc.v1.Subnet", interface.subnet_id)
                self._check_groups(call.cloud, request.security_group_ids, subnet)
                apply_mask(interface, request, path)
            elif path == address or path.startswith(f"{address}.one_to_one_nat_spec"):
                self._renat(call, instance, interface, request.primary_v4_address_spec)
            else:
                raise refused(f"update_mask: {path!r} of an interface cannot be changed here")
        return self._changed(call, instance, before)

    def _renat(self, call: Call, instance: Message, interface: Message, spec: Message) -> None:
        """Give, change or take the public address."""
        had = interface.primary_v4_address.one_to_one_nat.address
        wanted = spec.one_to_one_nat_spec
        if spec.HasField("one_to_one_nat_spec") and had and wanted.address in ("", had):
            return
        interface.primary_v4_address.ClearField("one_to_one_nat")
        if spec.HasField("one_to_one_nat_spec"):
            self._nat(call.cloud, instance, interface, wanted)

    def add_one_to_one_nat(self, call: Call, request: Message) -> Message:
        instance, before = self._taken(call, request)
        interface = self._interface_of(instance, request.network_interface_index)
        if interface.primary_v4_address.one_to_one_nat.address:
            raise refused(f"Interface {interface.index} of instance {instance.id} has a public address")
        self._nat(call.cloud, instance, interface, request.one_to_one_nat_spec)
        return self._changed(call, instance, before)

    def remove_one_to_one_nat(self, call: Call, request: Message) -> Message:
        instance, before = self._taken(call, request)
        interface = self._interface_of(instance, request.network_interface_index)
        interface.primary_v4_address.ClearField("one_to_one_nat")
        return self._changed(call, instance, before)

    def _interface_of(self, instance: Message, index: str) -> Message:
        found = next((i for i in instance.network_interfaces if i.index == (index or "0")), None)
        if found is None:
            raise not_found("NetworkInterface", index)
        return found

    def _taken(self, call: Call, request: Message) -> tuple[Message, Message]:
        instance = self.find(call, request)
        self.check_idle(call, instance)
        return instance, type(instance).FromString(instance.SerializeToString())

    def _changed(self, call: Call, instance: Message, before: Message, verb: str = "update") -> Message:
        self.save(call.cloud, instance)
        return call.operation(self, instance, verb, before=before)

    # ---- disks ----
    def attach_disk(self, call: Call, request: Message) -> Message:
        instance, before = self._taken(call, request)
        call.cloud.check_references(request)
        if instance.status not in (instance.RUNNING, instance.STOPPED):
            raise refused(f"Instance {instance.id} is {instance.Status.Name(instance.status)}")
        self._disk(call, instance, request.attached_disk_spec, instance.secondary_disks.add())
        return self._changed(call, instance, before)

    def detach_disk(self, call: Call, request: Message) -> Message:
        """By the disk's id or by the name of its device; the boot disk stays."""
        instance, before = self._taken(call, request)
        wanted = request.disk_id or request.device_name
        found = next((d for d in instance.secondary_disks if wanted in (d.disk_id, d.device_name)), None)
        if wanted in (instance.boot_disk.disk_id, instance.boot_disk.device_name):
            raise refused(f"Disk {wanted} is the boot disk of instance {instance.id} and cannot be detached")
        if found is None:
            raise not_found("AttachedDisk", wanted)
        disk = call.cloud.get(DISK, found.disk_id)
        instance.secondary_disks.remove(found)
        disk.instance_ids.remove(instance.id)
        call.cloud.kind(DISK).save(call.cloud, disk)
        return self._changed(call, instance, before)

    # ---- power ----
    def _power(self, call: Call, request: Message, verb: str, needs: str, busy: str) -> Message:
        instance, before = self._taken(call, request)
        status = instance.Status.Name(instance.status)
        if status != needs:
            raise refused(f"Instance {instance.id} is {status}; only a {needs} one can {verb}")
        self.set_status(instance, busy)
        return self._changed(call, instance, before, verb)

    def stop(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "stop", "RUNNING", "STOPPING")

    def start(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "start", "STOPPED", "STARTING")

    def restart(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "restart", "RUNNING", "RESTARTING")

    # ---- the World ----
    def work_create(self, cloud: Cloud, instance: Message, job: Job) -> None:
        cloud.sync_network()
        cloud.world.start_instance(cloud, instance)

    work_start = work_create

    def work_stop(self, cloud: Cloud, instance: Message, job: Job) -> None:
        cloud.world.stop_instance(cloud, instance)

    def work_restart(self, cloud: Cloud, instance: Message, job: Job) -> None:
        cloud.world.stop_instance(cloud, instance)
        cloud.world.start_instance(cloud, instance)

    def work_delete(self, cloud: Cloud, instance: Message, job: Job) -> None:
        cloud.world.delete_instance(cloud, instance)

    def undo(self, cloud: Cloud, job: Job) -> None:
        """Disks say again who has them: attaching or detaching one may be what failed."""
        super().undo(cloud, job)
        with cloud.store.transaction():
            holders = {d.disk_id: i.id for i in cloud.all(self.api) for d in (i.boot_disk, *i.secondary_disks)}
            for disk in cloud.all(DISK):
                holder = [holders[disk.id]] if disk.id in holders else []
                if list(disk.instance_ids) != holder:
                    del disk.instance_ids[:]
                    disk.instance_ids.extend(holder)
                    cloud.kind(DISK).save(cloud, disk)

    def drop(self, cloud: Cloud, ident: str) -> None:
        """Disks go with the instance where it was said so; the others are free again."""
        instance = cloud.get(self.api, ident)
        super().drop(cloud, ident)
        for attached in [instance.boot_disk, *instance.secondary_disks] if instance is not None else []:
            disk = cloud.get(DISK, attached.disk_id)
            if disk is None:
                continue
            if attached.auto_delete:
                cloud.store.drop(DISK, disk.id)
            else:
                disk.instance_ids.remove(ident)
                cloud.kind(DISK).save(cloud, disk)
