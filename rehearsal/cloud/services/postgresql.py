"""Managed Service for PostgreSQL: clusters and their hosts. Databases and users have a file of their own."""

from __future__ import annotations

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import ZONES, Cloud
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call, Service
from rehearsal.cloud.services import postgresql_backup as backup
from rehearsal.cloud.services import postgresql_content as content
from rehearsal.cloud.services import postgresql_hosts
from rehearsal.cloud.services.postgresql_content import CLUSTER

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


class Cluster(Bound, postgresql_hosts.Hosts, content.InCluster):
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
            self.add_host(call, resource, spec, "REPLICA" if number else "MASTER")
        for spec in getattr(request, "user_specs", ()):  # a restored cluster has those of its backup
            content.make_user(call, resource.id, spec)
        for spec in getattr(request, "database_specs", ()):
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
        if not cluster.maintenance_window.WhichOneof("policy"):
            cluster.maintenance_window.anytime.SetInParent()
        weekly = cluster.maintenance_window.weekly_maintenance_window
        if cluster.maintenance_window.HasField("weekly_maintenance_window") and not (weekly.day and weekly.hour):
            raise invalid("maintenance_window.weekly_maintenance_window: day and hour are required")
        cluster.health = cluster.ALIVE

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

    # ---- backups ----
    def backup(self, call: Call, request: Message) -> Message:
        cluster = self.find(call, request)
        self.check_idle(call, cluster)
        if cluster.status != cluster.RUNNING:
            raise refused(
                f"Cluster {cluster.id} is {cluster.Status.Name(cluster.status)}; only a running one is backed up"
            )
        return call.operation(self, cluster, "backup", before=cluster)

    def list_backups(self, call: Call, request: Message) -> Message:
        cluster, answer = self.find(call, request), call.answer()
        found = list(enumerate(backup.of_cluster(call.cloud, cluster.id), 1))
        page, answer.next_page_token = listing.page(found, request.page_size, request.page_token)
        answer.backups.extend(page)
        return answer

    def restore(self, call: Call, request: Message) -> Message:
        """A new cluster. With a time, it has what its source has written until now, while that is there."""
        source = backup.check(call, request)
        call.cloud.check_references(request)
        live = request.HasField("time") and call.cloud.get(CLUSTER, source.source_cluster_id) is not None
        request.folder_id = request.folder_id or source.folder_id
        cluster = self.make(call, request)
        backup.unpack(call, cluster, source, live=live)
        return call.operation(self, cluster, "create", backup=source.id, live=live)

    # ---- the World ----
    def work_create(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.sync_network()
        if "backup" in job.note:
            cloud.world.restore_cluster(
                cloud, cluster, cloud.get(backup.API, job.note["backup"]), live=job.note["live"]
            )
        cloud.world.put_cluster(cloud, cluster)
        for user in content.of_cluster(cloud, content.USER, cluster.id):
            content.put_user(cloud, cluster, user)
        for database in content.of_cluster(cloud, content.DATABASE, cluster.id):
            cloud.world.put_database(cloud, cluster, database)
        # Permissions name databases, so users are put once more when those are there.
        for user in content.of_cluster(cloud, content.USER, cluster.id):
            if user.permissions:
                content.put_user(cloud, cluster, user)
        backup.make(cloud, cluster, automated=True)

    def work_backup(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        backup.make(cloud, cluster, automated=False)

    def work_update(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.sync_network()
        cloud.world.put_cluster(cloud, cluster)

    work_start = work_update

    def work_stop(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.world.stop_cluster(cloud, cluster)

    def work_delete(self, cloud: Cloud, cluster: Message, job: Job) -> None:
        cloud.world.delete_cluster(cloud, cluster)


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


SERVICES = (Cluster, content.Database, content.User, backup.Backup, Presets)
HIDDEN = (content.Host,)  # kinds without a service: they are listed by their cluster's
