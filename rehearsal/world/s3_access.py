"""What a service account's static keys may do in Object Storage: from the cloud's roles to the server's actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yandex.cloud.storage.v1.bucket_pb2 import ACL

from rehearsal.world import s3_settings

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

READ = ("Read", "List")
# The server cannot tell adding an object from deleting it: an uploader may delete here, in the cloud it may not.
CHANGE = (*READ, "Write", "Tagging")
ROLES = {
    "storage.viewer": READ,
    "storage.uploader": CHANGE,
    "storage.editor": CHANGE,
    "storage.admin": CHANGE,  # buckets themselves come only through the cloud's API
    "viewer": READ,
    "editor": CHANGE,
    "admin": CHANGE,
}


def actions(cloud: Cloud, account: str) -> tuple[str, ...]:
    """The actions of an account, in a steady order: `Read` everywhere, `Read:models` in one bucket."""
    everywhere = {action for place in (cloud.folder_id, cloud.cloud_id) for action in _bound(cloud, place, account)}
    found = set(everywhere)
    for bucket in cloud.all("storage.v1.Bucket"):
        inside = _bound(cloud, bucket.name, account)
        inside |= s3_settings.granted(bucket, ACL.Grant.GRANT_TYPE_ACCOUNT, account)
        inside |= s3_settings.granted(bucket, ACL.Grant.GRANT_TYPE_ALL_AUTHENTICATED_USERS)
        found |= {f"{action}:{bucket.name}" for action in inside - everywhere}
    return tuple(sorted(found))


def _bound(cloud: Cloud, place: str, account: str) -> set[str]:
    """What the account's roles on one resource allow."""
    roles = [role for role, _, subject in cloud.identity.bindings(place) if subject == account]
    return {action for role in roles for action in ROLES.get(role, ())}
