"""Key Management Service: symmetric keys and their versions. Nothing is encrypted with them here."""

from __future__ import annotations

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.access import Bound
from rehearsal.cloud.errors import refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.service import Call, new_id


class SymmetricKey(Bound, Kind):
    api = "kms.v1.SymmetricKey"
    prefix = "abj"
    required = ("folder_id",)
    users = ("storage.v1.Bucket",)
    transient = False

    def __init__(self) -> None:
        super().__init__()
        self.noun = "key"  # its requests say key_id

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        self._new_version(resource)

    def _new_version(self, key: Message) -> None:
        version = key.primary_version
        version.Clear()
        version.id, version.key_id, version.algorithm = new_id(self.prefix), key.id, key.default_algorithm
        version.status, version.primary = version.ACTIVE, True
        version.created_at.GetCurrentTime()
        key.rotated_at.CopyFrom(version.created_at)

    def rotate(self, call: Call, request: Message) -> Message:
        """A new version becomes the primary one."""
        key = self.find(call, request)
        before = type(key).FromString(key.SerializeToString())
        self.check_idle(call, key)
        if key.status != key.ACTIVE:
            raise refused(f"SymmetricKey {key.id} is not active")
        self._new_version(key)
        self.save(call.cloud, key)
        return call.operation(self, key, "update", before=before)

    def list_versions(self, call: Call, request: Message) -> Message:
        """The primary version; older ones are not kept."""
        key, answer = self.find(call, request), call.answer()
        found, answer.next_page_token = listing.page([(1, key.primary_version)], request.page_size, request.page_token)
        answer.key_versions.extend(found)
        return answer


SERVICES = (SymmetricKey,)
