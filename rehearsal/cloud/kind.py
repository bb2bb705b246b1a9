"""A kind of resource: the verbs that all of them have. A service's file adds what the descriptors cannot know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.descriptors import message_type, new, operation_types, service, short, snake
from rehearsal.cloud.errors import exists, invalid, not_found, refused
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call, Service, new_id
from rehearsal.cloud.shapes import absorb, apply_mask, has, mentions
from rehearsal.cloud.validation import check_labels

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

READY = ("RUNNING", "ACTIVE", "READY")
BUSY = {"create": ("CREATING", "PROVISIONING"), "delete": ("DELETING",), "update": ("UPDATING",)}
BUSY |= {"start": ("STARTING",), "stop": ("STOPPING",), "restart": ("RESTARTING",)}


class Kind(Service):
    """Resources of one type. Hooks `on_*` run in the call's transaction; `work_*` in the operation's thread, unlocked."""

    api = ""  # of the resource: "vpc.v1.Subnet"
    prefix = "e9b"  # of its ids
    parent = ""  # API of the resource that it lives in, whose id is in its field `<parent>_id`
    named = False  # known by its name in its parent, without an id of its own
    required: tuple[str, ...] = ()  # what the service wants at creation where the protos do not say so
    pattern = ""  # of names, where the protos do not say so
    users: tuple[str, ...] = ()  # APIs of resources that keep this one from being deleted while they name it
    networked = False  # the network behind it has to follow
    transient = True  # has statuses such as UPDATING while something happens to it
    cancellable: tuple[str, ...] = ()  # verbs whose operations can be cancelled

    def __init__(self) -> None:
        self.name = f"{self.api}Service"
        service(self.name)  # registers the descriptors
        self.title = self.api.rpartition(".")[2]
        self.noun = snake(self.title)
        self.parent_field = snake(self.parent.rpartition(".")[2]) + "_id" if self.parent else ""

    def handle(self, call: Call) -> Message:
        name = snake(call.method.name)
        if name.startswith("list_") and not hasattr(self, name):
            return self.list(call, call.request)
        return super().handle(call)

    # ---- hooks ----
    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        """Check the request further and set what the cloud chooses. The resource is kept after this."""

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        """Check a change, `before` against `resource`."""

    def on_delete(self, call: Call, resource: Message) -> None:
        """Refuse a deletion."""

    def view(self, cloud: Cloud, resource: Message, request: Message) -> Message:
        """The resource as this request may see it."""
        return resource

    # ---- identity ----
    def key(self, resource: Message) -> str:
        """What the resource is kept under: its id, or `<parent id>/<name>`."""
        return f"{getattr(resource, self.parent_field)}/{resource.name}" if self.named else resource.id

    def asked(self, request: Message) -> str:
        """The key of the resource that a request is about."""
        if self.named:
            return f"{getattr(request, self.parent_field)}/{getattr(request, self.noun + '_name')}"
        return getattr(request, f"{self.noun}_id")

    def find(self, call: Call, request: Message) -> Message:
        """The resource that a request is about. Raises NOT_FOUND."""
        ident = self.asked(request)
        resource = call.cloud.get(self.api, ident)
        if resource is None:
            raise not_found(self.title, ident)
        return resource

    def scope(self, resource: Message) -> str:
        """Within what its name is unique."""
        return getattr(resource, self.parent_field) if self.parent else resource.folder_id

    def turn(self, job: Job) -> str:
        """Operations with the same turn run one after the other."""
        return job.resource

    def save(self, cloud: Cloud, resource: Message) -> None:
        parent = cloud.store.row(self.parent, getattr(resource, self.parent_field)) if self.parent else None
        folder = parent.folder if parent else resource.folder_id
        name = getattr(resource, "name", "")
        cloud.store.put(self.api, self.key(resource), folder, self.scope(resource), name, resource.SerializeToString())

    def check_name(self, call: Call, resource: Message) -> None:
        """Names are unique, and match the service's pattern; so do labels. Raises ApiError."""
        name = getattr(resource, "name", "")
        if self.pattern and not re.fullmatch(self.pattern, name):
            raise invalid(f"name: Value {name!r} must match {self.pattern!r}")
        if self.pattern:
            check_labels(resource)
        for row in call.cloud.store.rows("api = ? AND scope = ? AND name = ?", self.api, self.scope(resource), name):
            if name and row.id != self.key(resource):
                raise exists(f"{self.title} with name {name} already exists")

    def set_status(self, resource: Message, *names: str) -> None:
        """The first of the names that this resource's status knows."""
        field = resource.DESCRIPTOR.fields_by_name.get("status")
        known = field.enum_type.values_by_name if field is not None and field.enum_type else {}
        resource_status = next((known[name].number for name in names if name in known), None)
        if resource_status is not None:
            resource.status = resource_status

    # ---- verbs ----
    def spec(self, request: Message) -> Message:
        """The part of a create request that describes the resource."""
        inner = f"{self.noun}_spec"
        return getattr(request, inner) if inner in request.DESCRIPTOR.fields_by_name else request

    def make(self, call: Call, spec: Message, **fixed: str | int) -> Message:
        """A new kept resource out of a spec. `fixed` are fields that the spec does not carry."""
        resource = new(self.api)
        absorb(resource, spec)
        for name, value in fixed.items():
            setattr(resource, name, value)
        if "id" in resource.DESCRIPTOR.fields_by_name and not resource.id:
            resource.id = new_id(self.prefix)
        if "created_at" in resource.DESCRIPTOR.fields_by_name:
            resource.created_at.GetCurrentTime()
        self.check_name(call, resource)
        if self.named and call.cloud.store.row(self.api, self.key(resource)):
            raise exists(f"{self.title} with name {resource.name} already exists")
        self.set_status(resource, *BUSY["create"], *READY)
        self.on_create(call, resource, spec)
        self.save(call.cloud, resource)
        call.cloud.made(self.api, self.key(resource))
        return resource

    def create(self, call: Call, request: Message) -> Message:
        for name in self.required:
            if not has(request, request.DESCRIPTOR.fields_by_name[name]):
                raise invalid(f"{name}: Field is required")
        call.cloud.check_references(request)
        fixed = {self.parent_field: getattr(request, self.parent_field)} if self.parent else {}
        resource = self.make(call, self.spec(request), **fixed)
        return call.operation(self, resource, "create")

    def get(self, call: Call, request: Message) -> Message:
        if call.cloud.unseen(self.api, self.asked(request)):
            raise not_found(self.title, self.asked(request))
        return self.view(call.cloud, self.find(call, request), request)

    def list(self, call: Call, request: Message) -> Message:
        """Any List: what the answer repeats, where every id in the request fits, filtered, a page of it."""
        answer = call.answer()
        field = next(f for f in call.method.output_type.fields if f.is_repeated)
        if field.message_type.name == "Operation":
            found = call.cloud.operations.of(self.key(self.find(call, request)))
        else:
            found = self.matching(call, request, short(field.message_type))
        messages, answer.next_page_token = listing.page(found, request.page_size, request.page_token)
        getattr(answer, field.name).extend(messages)
        return answer

    def matching(self, call: Call, request: Message, api: str) -> Iterator[tuple[int, Message]]:
        """(sequence number, resource) of everything that a list request is about, from its page on."""
        cloud = call.cloud
        wanted = {f.name: v for f, v in request.ListFields() if f.name.endswith("_id")}
        cloud.check_references(request)
        keep = listing.parse(getattr(request, "filter", ""))
        kind = cloud.kind(api)
        for row in cloud.store.rows("api = ? AND seq > ?", api, listing.after(request.page_token)):
            message = cloud.message(row)
            fits = all(
                row.folder == v if n == "folder_id" else getattr(message, n, None) == v for n, v in wanted.items()
            )
            if fits and keep(message) and not cloud.unseen(api, row.id):
                yield row.seq, kind.view(cloud, message, request)

    def update(self, call: Call, request: Message) -> Message:
        resource = self.find(call, request)
        before = type(resource).FromString(resource.SerializeToString())
        self.check_idle(call, resource)
        call.cloud.check_references(request)
        for path in self.paths(request):
            apply_mask(resource, request, path)
        self.check_name(call, resource)
        self.on_update(call, resource, before, request)
        if self.transient:
            self.set_status(resource, *BUSY["update"])
        self.save(call.cloud, resource)
        return call.operation(self, resource, "update", before=before)

    def paths(self, request: Message) -> list[str]:
        """The mask's paths. Without a mask the API updates every field: what was not sent is reset to its default.
        Messages that were not sent are left alone: their defaults are the service's, not protobuf's."""
        own = {"update_mask", f"{self.noun}_id", f"{self.noun}_name", self.parent_field}
        if request.update_mask.paths:
            for path in request.update_mask.paths:
                if path in own:
                    raise invalid(f"update_mask: {path!r} cannot be updated")
            return list(request.update_mask.paths)
        fields = [f for f in request.DESCRIPTOR.fields if f.name not in own]
        return [f.name for f in fields if has(request, f) or f.is_repeated or not f.message_type]

    def delete(self, call: Call, request: Message) -> Message:
        resource = self.find(call, request)
        before = type(resource).FromString(resource.SerializeToString())
        protected = getattr(resource, "deletion_protection", False)
        if getattr(protected, "value", protected):
            raise refused(f"{self.title} {self.key(resource)} has deletion protection: it must be turned off first")
        self.check_idle(call, resource)
        self.check_unused(call, resource)
        self.on_delete(call, resource)
        self.set_status(resource, *BUSY["delete"])
        self.save(call.cloud, resource)
        return call.operation(self, resource, "delete", before=before)

    def check_idle(self, call: Call, resource: Message) -> None:
        """Raise FAILED_PRECONDITION while another operation works on the resource."""
        pending = call.cloud.operations.pending(self.key(resource))
        if pending:
            raise refused(f"{self.title} {self.key(resource)} is busy: operation {pending} is in progress")

    def holds(self, resource: Message, ident: str) -> bool:
        """Whether this resource keeps the one with that id from being deleted."""
        return mentions(resource, ident)

    def check_unused(self, call: Call, resource: Message) -> None:
        """Raise FAILED_PRECONDITION where something that matters names the resource."""
        user = call.cloud.user_of(self.key(resource), self.users)
        if user is not None:
            title = user.api.rpartition(".")[2]
            raise refused(f"{self.title} {self.key(resource)} is in use by {title} {user.name or user.id} ({user.id})")

    # ---- the operation's side ----
    def work(self, cloud: Cloud, job: Job) -> None:
        """Make it real; blocks, without the lock. After a restart in the middle of a deletion nothing may be left to do."""
        resource = cloud.get(job.api, job.resource)
        if resource is not None:
            getattr(self, f"work_{job.verb}", self.work_other)(cloud, resource, job)

    def work_other(self, cloud: Cloud, resource: Message, job: Job) -> None:
        if self.networked and job.verb != "delete":
            cloud.sync_network()

    def settle(self, cloud: Cloud, job: Job) -> Message | None:
        """What is true when the work is done, in a transaction. Returns the operation's response, None for Empty; where
        the API answers a deletion with a resource, it is the one that was deleted."""
        resource = cloud.get(job.api, job.resource)
        if job.verb == "delete":
            self.drop(cloud, job.resource)
        elif resource is not None:
            self.set_status(resource, *self.reached(job))
            self.save(cloud, resource)
        response, _ = operation_types(cloud.method(job.method))
        return resource if response is message_type(self.api) else None

    def reached(self, job: Job) -> tuple[str, ...]:
        """The statuses, best first, that a finished verb leaves."""
        if job.verb == "stop":
            return ("STOPPED",)
        if job.verb == "update" and job.before:
            was = type(new(self.api)).FromString(job.before)
            field = was.DESCRIPTOR.fields_by_name.get("status")
            return (field.enum_type.values_by_number[was.status].name,) if field is not None else ()
        return READY

    def drop(self, cloud: Cloud, ident: str) -> None:
        """Forget the resource and everything in it."""
        for row in cloud.store.rows("scope = ?", ident):
            cloud.kind(row.api).drop(cloud, row.id)
        cloud.store.drop(self.api, ident)

    def after_delete(self, cloud: Cloud, job: Job) -> None:
        """What has to follow when the cloud already knows nothing of it; blocks, without the lock."""
        if self.networked:
            cloud.sync_network()

    def undo(self, cloud: Cloud, job: Job) -> None:
        """The operation failed: what it would have made is taken away, what it changed is as before."""
        resource = cloud.get(job.api, job.resource)
        if job.verb == "create":
            if resource is not None:
                getattr(self, "work_delete", self.work_other)(cloud, resource, job)
            with cloud.store.transaction():
                self.drop(cloud, job.resource)
        elif job.before:
            with cloud.store.transaction():
                self.save(cloud, type(new(self.api)).FromString(job.before))
        if self.networked:
            cloud.sync_network()
