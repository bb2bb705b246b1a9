"""Serverless Containers: containers and their revisions, of which one serves. A revision never changes."""

from __future__ import annotations

from google.protobuf.message import Message

from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call
from rehearsal.cloud.services import serverless_revision
from rehearsal.places import CONTAINERS

CONTAINER, REVISION = "serverless.containers.v1.Container", "serverless.containers.v1.Revision"


def revisions(cloud: Cloud, container: str) -> list[Message]:
    """A container's revisions, oldest first."""
    return [cloud.message(row) for row in cloud.store.rows("api = ? AND scope = ?", REVISION, container)]


def active(cloud: Cloud, container: str) -> Message | None:
    """The revision that serves; None where none has started yet."""
    return next((r for r in revisions(cloud, container) if r.status == r.ACTIVE), None)


def activate(cloud: Cloud, container: str, chosen: str) -> None:
    """Let this revision serve, and only this one; '' is none."""
    kind = cloud.kind(REVISION)
    with cloud.store.transaction():
        for revision in revisions(cloud, container):
            status = revision.ACTIVE if revision.id == chosen else revision.OBSOLETE
            if status != revision.status and (revision.id == chosen or revision.status == revision.ACTIVE):
                revision.status = status
                kind.save(cloud, revision)


class Container(Bound, Kind):
    api = CONTAINER
    prefix = "bba"
    transient = False

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        resource.url = f"https://{resource.id}.{CONTAINERS}/"

    def check_idle(self, call: Call, resource: Message) -> None:
        """One operation at a time on a container and its revisions."""
        super().check_idle(call, resource)
        for revision in revisions(call.cloud, resource.id):
            pending = call.cloud.operations.pending(revision.id)
            if pending:
                raise refused(f"Container {resource.id} is busy: operation {pending} is in progress")

    # ---- revisions ----
    def deploy_revision(self, call: Call, request: Message) -> Message:
        container = self.find(call, request)
        self.check_idle(call, container)
        call.cloud.check_references(request)
        kind = call.cloud.kind(REVISION)
        serving = active(call.cloud, container.id)
        made = kind.make(call, request, container_id=container.id)
        return call.operation(kind, made, "create", before_it=serving.id if serving else "")

    def rollback(self, call: Call, request: Message) -> Message:
        """Let another revision serve again."""
        container = self.find(call, request)
        self.check_idle(call, container)
        chosen = call.cloud.get(REVISION, request.revision_id)
        if chosen is None or chosen.container_id != container.id:
            raise not_found("Revision", request.revision_id)
        serving = active(call.cloud, container.id)
        note = {"revision": chosen.id, "before_it": serving.id if serving else ""}
        return call.operation(self, container, "rollback", **note)

    def get_revision(self, call: Call, request: Message) -> Message:
        found = call.cloud.get(REVISION, request.container_revision_id)
        if found is None:
            raise not_found("Revision", request.container_revision_id)
        return found

    # ---- the World ----
    def work_create(self, cloud: Cloud, container: Message, job: Job) -> None:
        cloud.world.sync_serverless(cloud)

    work_update = work_create

    def work_rollback(self, cloud: Cloud, container: Message, job: Job) -> None:
        revision = cloud.get(REVISION, job.note["revision"])
        cloud.world.put_revision(cloud, container, revision)
        activate(cloud, container.id, revision.id)
        cloud.world.sync_serverless(cloud)

    def work_delete(self, cloud: Cloud, container: Message, job: Job) -> None:
        cloud.world.delete_container(cloud, container)

    def after_delete(self, cloud: Cloud, job: Job) -> None:
        cloud.world.sync_serverless(cloud)

    def undo(self, cloud: Cloud, job: Job) -> None:
        super().undo(cloud, job)
        if job.verb == "rollback":
            activate(cloud, job.resource, job.note["before_it"])
        cloud.world.sync_serverless(cloud)


class Revision(Kind):
    """Listed and deployed by its container's service."""

    api = REVISION
    prefix = "bba"
    parent = CONTAINER
    parent_field = "container_id"

    def __init__(self) -> None:
        self.name, self.title, self.noun = "", "Revision", "container_revision"

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        serverless_revision.complete(resource)
        serverless_revision.check(call.cloud, resource)

    def work_create(self, cloud: Cloud, revision: Message, job: Job) -> None:
        container = cloud.get(CONTAINER, revision.container_id)
        digest = cloud.world.put_revision(cloud, container, revision)
        if digest and not revision.image.image_digest:  # it was named by a tag
            revision.image.image_digest = digest
            self.save(cloud, revision)
        activate(cloud, container.id, revision.id)
        cloud.world.sync_serverless(cloud)

    def undo(self, cloud: Cloud, job: Job) -> None:
        """The revision that served before goes on serving."""
        failed = cloud.get(REVISION, job.resource)
        super().undo(cloud, job)
        if failed is not None:
            activate(cloud, failed.container_id, job.note["before_it"])
        cloud.world.sync_serverless(cloud)


SERVICES = (Container,)
HIDDEN = (Revision,)  # a kind without a service of its own
