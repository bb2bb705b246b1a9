"""Clouds and folders, and the access bindings on them."""

from __future__ import annotations

import time

from google.protobuf.message import Message

from rehearsal.cloud.access import Bound
from rehearsal.cloud.errors import ApiError, Code
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call

CLOUD, BACKUP = "resourcemanager.v1.Cloud", "mdb.postgresql.v1.Backup"


class CloudKind(Bound, Kind):
    """The one cloud: it can be read, not made."""

    api = CLOUD
    prefix = "b1g"

    def scope(self, resource: Message) -> str:
        return ""

    def save(self, cloud: object, resource: Message) -> None:
        cloud.store.put(self.api, resource.id, "", "", resource.name, resource.SerializeToString())

    create = update = delete = None


class Folder(Bound, Kind):
    """The rehearsal's folder, the one of public images, and those that somebody makes beside them."""

    api = "resourcemanager.v1.Folder"
    prefix = "b1g"
    parent = CLOUD
    required = ("cloud_id", "name")
    transient = False

    def places(self, call: Call) -> list[str]:
        """Who may make a folder in a cloud has a role there."""
        return [call.request.cloud_id] if call.method.name == "Create" else super().places(call)

    def save(self, cloud: object, resource: Message) -> None:
        cloud.store.put(
            self.api, resource.id, resource.id, resource.cloud_id, resource.name, resource.SerializeToString()
        )

    def delete(self, call: Call, request: Message) -> Message:
        """At once where `delete_after` is over; else the folder waits. Only an empty one can go: the cloud would delete what
        is in it, too."""
        folder = self.find(call, request)
        if not request.HasField("delete_after") or request.delete_after.seconds > time.time():
            folder.status = folder.PENDING_DELETION
            self.save(call.cloud, folder)
            return call.operation(self, folder, "postpone")
        inside = [
            row.api for row in call.cloud.store.rows("folder = ?", folder.id) if row.api not in (self.api, BACKUP)
        ]
        if inside:
            said = f"Folder {folder.id} has {len(inside)} resources, such as a {inside[0]}: deleting them with it"
            raise ApiError(Code.UNIMPLEMENTED, f"{said} is not part of the emulated cloud")
        return super().delete(call, request)

    def reached(self, job: Job) -> tuple[str, ...]:
        return ("PENDING_DELETION",) if job.verb == "postpone" else super().reached(job)

    def work_delete(self, cloud: object, folder: Message, job: Job) -> None:
        """Backups outlive their cluster, and not their folder."""
        for row in cloud.store.rows("api = ? AND folder = ?", BACKUP, folder.id):
            cloud.world.delete_backup(cloud, cloud.message(row))


SERVICES = (CloudKind, Folder)
