"""Backups of PostgreSQL clusters. They outlive their cluster, and hold its users, databases and passwords as they were."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from rehearsal.cloud.descriptors import new
from rehearsal.cloud.errors import invalid, not_found
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call, new_id
from rehearsal.cloud.services import postgresql_content as content

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

API = "mdb.postgresql.v1.Backup"
KEPT = (content.USER, content.DATABASE)


class Backup(Kind):
    api = API
    prefix = "c9q"
    transient = False

    def scope(self, resource: Message) -> str:
        return f"backups of {resource.source_cluster_id}"  # no cluster's own: it stays when that is deleted

    def work_delete(self, cloud: Cloud, backup: Message, job: Job) -> None:
        cloud.world.delete_backup(cloud, backup)


def of_cluster(cloud: Cloud, cluster: str) -> list[Message]:
    return [backup for backup in cloud.all(API) if backup.source_cluster_id == cluster]


def begin(cloud: Cloud, cluster: Message, *, automated: bool) -> Message:
    """Write down a new backup with what the API knows of the cluster's content."""
    kind, backup = cloud.kind(API), new(API)
    backup.id, backup.folder_id, backup.source_cluster_id = new_id(Backup.prefix), cluster.folder_id, cluster.id
    backup.type = backup.AUTOMATED if automated else backup.MANUAL
    backup.method, backup.status = backup.BASE, backup.CREATING
    backup.started_at.GetCurrentTime()
    with cloud.store.transaction():
        kind.save(cloud, backup)
        kept = {api: [m.SerializeToString().hex() for m in content.of_cluster(cloud, api, cluster.id)] for api in KEPT}
        facts = {"content": kept, "version": cluster.config.version, "disk_size": cluster.config.resources.disk_size}
        cloud.facts(API, backup.id).update(facts)
        users = [user.name for user in content.of_cluster(cloud, content.USER, cluster.id)]
        passwords = {name: (cloud.secret(content.USER, f"{cluster.id}/{name}") or b"").decode() for name in users}
        cloud.store.put_secret(API, backup.id, json.dumps(passwords).encode())
    return backup


def finish(cloud: Cloud, backup: Message) -> None:
    """The World has it."""
    backup.status = backup.DONE
    backup.created_at.GetCurrentTime()
    with cloud.store.transaction():
        cloud.kind(API).save(cloud, backup)


def make(cloud: Cloud, cluster: Message, *, automated: bool) -> None:
    """A whole backup, in the thread of an operation; one that cannot be made leaves nothing."""
    for unfinished in [b for b in of_cluster(cloud, cluster.id) if b.status == b.CREATING]:  # by an emulator that ended
        cloud.world.delete_backup(cloud, unfinished)
        cloud.store.drop(API, unfinished.id)
    backup = begin(cloud, cluster, automated=automated)
    try:
        cloud.world.back_up(cloud, cluster, backup)
    except BaseException:
        with cloud.store.transaction():
            cloud.store.drop(API, backup.id)
        raise
    finish(cloud, backup)


def check(call: Call, request: Message) -> Message:
    """The backup that a cluster is to be made from. Raises ApiError where it cannot be."""
    backup = call.cloud.get(API, request.backup_id)
    if backup is None:
        raise not_found("Backup", request.backup_id)
    facts, wanted = call.cloud.facts(API, backup.id), request.config_spec
    if wanted.version and wanted.version != facts["version"]:
        raise invalid(f"config_spec.version: the backup is of version {facts['version']}, not {wanted.version}")
    if wanted.resources.disk_size < facts["disk_size"]:
        raise invalid(f"config_spec.resources.disk_size: the backup needs at least {facts['disk_size']} bytes")
    if request.HasField("time") and request.time.ToNanoseconds() < backup.created_at.ToNanoseconds():
        raise invalid(f"time: the backup was made at {backup.created_at.ToJsonString()}, later than that")
    return backup


def unpack(call: Call, cluster: Message, backup: Message, *, live: bool) -> None:
    """Give a cluster the users and databases of a backup; `live`, those that its source has now."""
    cloud, source = call.cloud, backup.source_cluster_id
    passwords = json.loads(cloud.secret(API, backup.id) or b"{}")
    if live:
        users = [user.name for user in content.of_cluster(cloud, content.USER, source)]
        passwords = {name: (cloud.secret(content.USER, f"{source}/{name}") or b"").decode() for name in users}
    for api in KEPT:
        packed = [bytes.fromhex(text) for text in cloud.facts(API, backup.id)["content"][api]]
        for one in [m.SerializeToString() for m in content.of_cluster(cloud, api, source)] if live else packed:
            message = new(api)
            message.ParseFromString(one)
            message.cluster_id = cluster.id
            cloud.kind(api).save(cloud, message)
    for name, password in passwords.items():
        cloud.store.put_secret(content.USER, f"{cluster.id}/{name}", password.encode())
