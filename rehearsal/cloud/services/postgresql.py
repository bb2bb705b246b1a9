"""Managed Service for PostgreSQL: clusters and their hosts. Databases and users have a file of their own."""

from __future__ import annotations

import secrets

from google.protobuf.message import Message

from rehearsal.cloud import addresses
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import ZONES, Cloud
from rehearsal.cloud.descriptors import new
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import LETTERS, Call, Service
from rehearsal.cloud.services import postgresql_content as content
from rehearsal.cloud.services.postgresql_content import CLUSTER, HOST

GIB = 1 << 30
VERSIONS = ("13", "14", "15", "16", "17", "18")
DEFAULT_VERSION = "17"
DISK_TYPES = ("network-ssd", "network-hdd", "network-ssd-nonreplicated", "local-ssd")
PRESETS = {  # id: (cores, GiB of memory)
    **{"b1.medium": (2, 4), "b2.medium": (2, 4), "c3-c2-m4": (2, 4), "c3-c4-m8": (4, 8), "c3-c8-m16": (8, 16)},
    **{"s2.micro": (2, 8), "s2.small": (4, 16), "s2.medium": (8, 32), "s2.large": (12, 48), "s2.xlarge": (16, 64)},
    **{"s3-c2-m8": (2, 8), "s3-c4-m16": (4, 16), "s3-c8-m32": (8, 32), "s3-c12-m48": (12, 48), "s3-c16-m64": (16, 64)},
    **{"m3-c2-m16": (2, 16), "m3-c4-m32": (4, 32), "m3-c8-m64": (8, 64)},
}


class Cluster(Bound, content.InCluster):
    """One PostgreSQL behind the World; each host has a name and a private address."""

    api = CLUSTER
    parent = ""
    named = False
    networked = True
    transient = True

    def cluster_id(self, resource: Message) -> str:
        return resource.id

    # ---- creation ----
    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        resource.config.version = resource.config.version or DEFAULT_VERSION
        self._check(resource)
        if not request.host_specs:
            raise invalid("host_specs: at least one host is required")
        self.save(call.cloud, resource)  # what is in it names it
        for number, spec in enumerate(request.host_specs):
            self._host(call, resource, spec, "REPLICA" if number else "MASTER")
        for spec in request.user_specs:
            content.make_user(call, resource.id, spec)
        for spec in request.database_specs:
            call.cloud.kind(content.DATABASE).make(call, spec, cluster_id=resource.id)

    def _check(self, cluster: Message) -> None:
        """Version, size and disk are ones that there are; settings are of the cluster's version."""
        config, resources = cluster.config, cluster.config.resources
        if config.version not in VERSIONS:
            raise invalid(f"config_spec.version: {config.version!r} is none of {', '.join(VERSIONS)}")
        if resources.resource_preset_id not in PRESETS:
            known = ", ".join(PRESETS)
            raise invalid(
                f"config_spec.resources.resource_preset_id: {resources.resource_preset_id!r} is none of {known}"
            )
        if resources.disk_type_id not in DISK_TYPES:
            raise invalid(
                f"config_spec.resources.disk_type_id: {resources.disk_type_id!r} is none of {', '.join(DISK_TYPES)}"
            )
        if resources.disk_size < 10 * GIB:
            raise invalid("config_spec.resources.disk_size: Value must be at least 10 GiB")
        settings = config.WhichOneof("postgresql_config")
        if settings and settings != f"postgresql_config_{config.version}":
            raise invalid(f"config_spec.{settings}: the cluster's version is {config.version}")
        if settings:
            chosen = getattr(config, settings)
            chosen.effective_config.CopyFrom(chosen.user_config)
        if not config.HasField("backup_retain_period_days"):
            config.backup_retain_period_days.value = 7
        cluster.health = cluster.ALIVE

    def _host(self, call: Call, cluster: Message, spec: Message, role: str) -> Message:
        if spec.zone_id not in ZONES:
            raise invalid(f"host_specs.zone_id: Zone {spec.zone_id!r} not found; there are {', '.join(ZONES)}")
        subnet = self._subnet(call.cloud, cluster, spec)
        host = new(HOST)
        part = "".join(secrets.choice(LETTERS) for _ in range(16))
        host.name = f"rc1{spec.zone_id[-1]}-{part}.mdb.yandexcloud.net"
        host.cluster_id, host.zone_id, host.subnet_id = cluster.id, spec.zone_id, subnet.id
        host.role, host.health, host.assign_public_ip = role, host.ALIVE, spec.assign_public_ip
        host.resources.CopyFrom(cluster.config.resources)
        for service in ("POSTGRESQL", "POOLER"):
            host.services.add(type=service, health="ALIVE")
        address = addresses.private(call.cloud, subnet.id)
        kind = call.cloud.kind(HOST)
        kind.save(call.cloud, host)
        call.cloud.facts(HOST, host.name)["address"] = address
        return host

    def _subnet(self, cloud: Cloud, cluster: Message, spec: Message) -> Message:
        """The subnet that is named, or the only one of the network in the zone."""
        inside = [
            s for s in cloud.all("vpc.v1.Subnet") if s.network_id == cluster.network_id and s.zone_id == spec.zone_id
        ]
        fitting = [s for s in inside if s.id == spec.subnet_id] if spec.subnet_id else inside
        if len(fitting) != 1:
            raise invalid(
                f"host_specs: subnet_id {spec.subnet_id!r} is no subnet of the cluster's network in {spec.zone_id}"
                if spec.subnet_id
                else f"host_specs: {len(inside)} subnets of the cluster's network are in {spec.zone_id}: subnet_id is needed"
            )
        return fitting[0]

    # ---- changes ----
    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        if resource.status == resource.STOPPED:
            raise refused(f"Cluster {resource.id} is stopped")
        if int(resource.config.version) < int(before.config.version):
            raise invalid("config_spec.version: a cluster cannot go back to an older version")
        if resource.config.resources.disk_size < before.config.resources.disk_size:
            raise invalid("config_spec.resources.disk_size: a disk cannot be made smaller")
        self._check(resource)
        super().on_update(call, resource, before, request)

    def start(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "start", "STOPPED", "STARTING")

    def stop(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "stop", "RUNNING", "STOPPING")

    def _power(self, call: Call, request: Message, verb: str, needs: str, busy: str) -> Message:
        cluster = self.find(call, request)
        before = type(cluster).FromString(cluster.SerializeToString())
        self.check_idle(call, cluster)
        status = cluster.Status.Name(cluster.status)
        if status != needs:
            raise refused(f"Cluster {cluster.id} is {status}; only a {needs} one can {verb}")
        self.set_status(cluster, busy)
        self.save(call.cloud, cluster)
        return call.operation(self, cluster, verb, before=before)

    # ---- hosts ----
    def add_hosts(self, call: Call, request: Message) -> Message:
        cluster = self.find(call, request)
        self.check_idle(call, cluster)
        call.cloud.check_references(request)
        names = [self._host(call, cluster, spec, "REPLICA").name for spec in request.host_specs]
        return call.operation(self, cluster, "add_hosts", before=cluster, hosts=names)

    def delete_hosts(self, call: Call, request: Message) -> Message:
        cluster = self.find(call, request)
        self.check_idle(call, cluster)
        known = {host.name: host for host in content.of_cluster(call.cloud, HOST, cluster.id)}
        for name in request.host_names:
            if name not in known:
                raise not_found("Host", name)
            if known[name].role == known[name].MASTER:
                raise refused(f"Host {name} is the master and cannot be deleted")
        return call.operation(self, cluster, "delete_hosts", before=cluster, hosts=list(request.host_names))

    # ---- the World ----
    def work_create(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.sync_network()
        cloud.world.put_cluster(cloud, cluster)
        for user in content.of_cluster(cloud, content.USER, cluster.id):
            content.put_user(cloud, cluster, user)
        for database in content.of_cluster(cloud, content.DATABASE, cluster.id):
            cloud.world.put_database(cloud, cluster, database)
        # Permissions name databases, so users are put once more when those are there.
        for user in content.of_cluster(cloud, content.USER, cluster.id):
            if user.permissions:
                content.put_user(cloud, cluster, user)

    def work_update(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.sync_network()
        cloud.world.put_cluster(cloud, cluster)

    work_start = work_add_hosts = work_update

    def work_delete_hosts(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        with cloud.store.transaction():
            for name in job.note["hosts"]:
                cloud.store.drop(HOST, name)
        self.work_update(cloud, cluster, job)

    def work_stop(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.world.stop_cluster(cloud, cluster)

    def work_delete(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.world.delete_cluster(cloud, cluster)

    def undo(self, cloud: Cloud, job: Job) -> None:
        """Hosts that could not be added are taken away."""
        if job.verb == "add_hosts":
            with cloud.store.transaction():
                for name in job.note["hosts"]:
                    cloud.store.drop(HOST, name)
        super().undo(cloud, job)


class Presets(Service):
    name = "mdb.postgresql.v1.ResourcePresetService"

    def list(self, call: Call, request: Message) -> Message:
        answer = call.answer()
        for ident in PRESETS:
            _fill(answer.resource_presets.add(), ident)
        return answer

    def get(self, call: Call, request: Message) -> Message:
        if request.resource_preset_id not in PRESETS:
            raise not_found("ResourcePreset", request.resource_preset_id)
        return _fill(call.answer(), request.resource_preset_id)


def _fill(preset: Message, ident: str) -> Message:
    preset.id, preset.cores, preset.memory = ident, PRESETS[ident][0], PRESETS[ident][1] * GIB
    preset.zone_ids.extend(ZONES)
    return preset


SERVICES = (Cluster, content.Database, content.User, Presets)
HIDDEN = (content.Host,)  # kinds without a service: they are listed by their cluster's
