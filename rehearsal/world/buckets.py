"""The world behind a cloud without machines: Object Storage alone, on loopback. It needs no root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rehearsal import processes
from rehearsal.places import Place
from rehearsal.world import World
from rehearsal.world.storage import Storage

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud


class BucketsWorld(World):
    """Buckets and access keys are real, in the S3 server; nothing else is made."""

    def __init__(self, place: Place, *, machines: bool = False) -> None:
        self.storage = Storage(place, machines=machines)

    def put_bucket(self, cloud: Cloud, bucket: Any) -> None:
        self.storage.put_bucket(cloud, bucket)

    def bucket_is_empty(self, cloud: Cloud, bucket: Any) -> bool:
        return self.storage.bucket_is_empty(cloud, bucket)

    def delete_bucket(self, cloud: Cloud, bucket: Any) -> None:
        self.storage.delete_bucket(cloud, bucket)

    def put_access_key(self, cloud: Cloud, key: Any, secret: str) -> None:
        self.storage.put_access_key(cloud, key, secret)

    def delete_access_key(self, cloud: Cloud, key: Any) -> None:
        self.storage.delete_access_key(cloud, key)

    def sync_access(self, cloud: Cloud) -> None:
        self.storage.sync_access(cloud)


def create() -> BucketsWorld:
    """What `rehearsal.cloud --world rehearsal.world.buckets:create` calls: the world of the rehearsal that this process
    belongs to."""
    return BucketsWorld(Place(os.environ[processes.MARKER]))
