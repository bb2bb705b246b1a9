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
# What cannot be done in an encrypted bucket without a role for its key, by the roles that let one do it.
NEEDS_KEY = {
    "Read": {"kms.keys.decrypter", "kms.keys.encrypterDecrypter", "editor", "admin"},
    "Write": {"kms.keys.encrypter", "kms.keys.encrypterDecrypter", "editor", "admin"},
}


def actions(cloud: Cloud, account: str) -> tuple[str, ...]:
    """The actions of an account, in a steady order: `Read` everywhere, `Read:models` in one bucket."""
    buckets = cloud.all("storage.v1.Bucket")
    homes = {bucket.folder_id for bucket in buckets} or {cloud.folder_id}
    everywhere = frozenset.intersection(*(_allowed(_roles(cloud, account, home, cloud.cloud_id)) for home in homes))
    found = {}
    for bucket in buckets:
        around = (bucket.folder_id, cloud.cloud_id)
        inside = set(_allowed(_roles(cloud, account, bucket.name, *around)))
        inside |= s3_settings.granted(bucket, ACL.Grant.GRANT_TYPE_ACCOUNT, account)
        inside |= s3_settings.granted(bucket, ACL.Grant.GRANT_TYPE_ALL_AUTHENTICATED_USERS)
        for rule in bucket.encryption.rules:
            held = _roles(cloud, account, rule.kms_master_key_id, *around)
            inside -= {action for action, roles in NEEDS_KEY.items() if not held & roles}
        found[bucket.name] = inside
    shared = everywhere.intersection(*found.values())
    return tuple(sorted(shared | {f"{a}:{name}" for name, inside in found.items() for a in inside - shared}))


def _roles(cloud: Cloud, account: str, *places: str) -> set[str]:
    """The account's roles on any of some resources."""
    return {role for place in places for role, _, subject in cloud.identity.bindings(place) if subject == account}


def _allowed(roles: set[str]) -> frozenset[str]:
    """What roles allow in a bucket."""
    return frozenset(action for role in roles for action in ROLES.get(role, ()))
