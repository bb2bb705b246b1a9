"""Object Storage: buckets. Their objects are in a real S3 server behind the World."""

from __future__ import annotations

import re

from google.protobuf.message import Message
from yandex.cloud.storage.v1.bucket_pb2 import Versioning

from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import exists, invalid, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call
from rehearsal.cloud.services import storage_settings

NAME = re.compile(r"[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]")
CLASSES = ("STANDARD", "COLD", "ICE")
SETTINGS = ("lifecycle_rules", "cors", "website_settings", "policy", "acl", "tags", "object_lock", "encryption")


class Bucket(Bound, Kind):
    """Known by a name that is unique in the whole cloud."""

    api = "storage.v1.Bucket"
    prefix = "e3e"
    transient = False

    def key(self, resource: Message) -> str:
        return resource.name

    def asked(self, request: Message) -> str:
        return request.name

    def bound(self, cloud: Cloud, ident: str) -> Message | None:
        """Not by its name: by the id behind that."""
        return next((bucket for bucket in cloud.all(self.api) if bucket.resource_id == ident), None)

    def scope(self, resource: Message) -> str:
        return ""

    def check_name(self, call: Call, resource: Message) -> None:
        if not NAME.fullmatch(resource.name) or ".." in resource.name:
            raise invalid(f"name: {resource.name!r} is no bucket name: 3 to 63 of a-z, 0-9, hyphens and dots inside")
        known = call.cloud.get(self.api, resource.name)
        if known is not None and known.id != resource.id:
            raise exists(f"Bucket with name {resource.name} already exists; names are unique among all clouds")

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        resource.resource_id = resource.id
        resource.id = resource.name
        self.on_update(call, resource, resource, request)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        resource.default_storage_class = resource.default_storage_class or CLASSES[0]
        if resource.default_storage_class not in CLASSES:
            raise invalid(f"default_storage_class: {resource.default_storage_class!r} is none of {', '.join(CLASSES)}")
        resource.versioning = resource.versioning or Versioning.VERSIONING_DISABLED
        storage_settings.check(call.cloud, resource)

    def view(self, cloud: Cloud, resource: Message, request: Message) -> Message:
        """The basic view leaves the longer settings out."""
        view = request.DESCRIPTOR.fields_by_name.get("view")
        full = view is not None and request.view == view.enum_type.values_by_name["VIEW_FULL"].number
        for setting in () if full else SETTINGS:
            resource.ClearField(setting)
        return resource

    def work_create(self, cloud: Cloud, bucket: Message, job: Job) -> None:
        cloud.world.put_bucket(cloud, bucket)

    work_update = work_create

    def work_delete(self, cloud: Cloud, bucket: Message, job: Job) -> None:
        if job.verb == "delete" and not cloud.world.bucket_is_empty(cloud, bucket):
            raise refused("The bucket you tried to delete is not empty")
        cloud.world.delete_bucket(cloud, bucket)


SERVICES = (Bucket,)
