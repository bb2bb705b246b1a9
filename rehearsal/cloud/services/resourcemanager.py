"""Clouds and folders, and the access bindings on them."""

from __future__ import annotations

from google.protobuf.message import Message

from rehearsal.cloud.access import Bound
from rehearsal.cloud.kind import Kind


class CloudKind(Bound, Kind):
    """The one cloud: it can be read, not made."""

    api = "resourcemanager.v1.Cloud"
    prefix = "b1g"

    def scope(self, resource: Message) -> str:
        return ""

    def save(self, cloud: object, resource: Message) -> None:
        cloud.store.put(self.api, resource.id, "", "", resource.name, resource.SerializeToString())

    create = update = delete = None


class Folder(Bound, Kind):
    """The rehearsal's folder and the one of public images: they can be read, not made."""

    api = "resourcemanager.v1.Folder"
    prefix = "b1g"

    def scope(self, resource: Message) -> str:
        return resource.cloud_id

    def save(self, cloud: object, resource: Message) -> None:
        cloud.store.put(
            self.api, resource.id, resource.id, resource.cloud_id, resource.name, resource.SerializeToString()
        )

    create = update = delete = None


SERVICES = (CloudKind, Folder)
