"""A bucket's settings: from the message of the cloud's API to the calls of S3."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError
from google.protobuf.json_format import MessageToDict
from yandex.cloud.storage.v1.bucket_pb2 import ACL, Versioning

# Who may read or change the ACL itself is nobody's business here: buckets change only through the cloud's API.
GRANTED = {
    ACL.Grant.PERMISSION_READ: ("Read", "List"),
    ACL.Grant.PERMISSION_WRITE: ("Write", "Tagging"),
    ACL.Grant.PERMISSION_FULL_CONTROL: ("Read", "List", "Write", "Tagging"),
}
STATUS = {Versioning.VERSIONING_ENABLED: "Enabled", Versioning.VERSIONING_SUSPENDED: "Suspended"}


def apply(s3: Any, bucket: Any) -> None:
    """Make versioning, lifecycle, CORS, policy and tags what the message says; what it does not have is removed."""
    name = bucket.name
    if status := STATUS.get(bucket.versioning):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    if bucket.lifecycle_rules:
        rules = [lifecycle_rule(rule) for rule in bucket.lifecycle_rules]
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    else:
        s3.delete_bucket_lifecycle(Bucket=name)
    if bucket.cors:
        s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [cors_rule(rule) for rule in bucket.cors]})
    else:
        s3.delete_bucket_cors(Bucket=name)
    if bucket.policy.fields:
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(MessageToDict(bucket.policy)))
    else:
        _remove_policy(s3, name)
    if bucket.tags:
        tags = [{"Key": tag.key, "Value": tag.value} for tag in bucket.tags]
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    else:
        s3.delete_bucket_tagging(Bucket=name)


def _remove_policy(s3: Any, name: str) -> None:
    """Unlike for the other settings, removing a policy that is not there is an error."""
    try:
        s3.delete_bucket_policy(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise


def public_actions(bucket: Any) -> tuple[str, ...]:
    """What everybody may do without a key, in the server's words."""
    flags = bucket.anonymous_access_flags
    found = granted(bucket, ACL.Grant.GRANT_TYPE_ALL_USERS)
    found |= ({"Read"} if flags.read.value else set()) | ({"List"} if flags.list.value else set())
    return tuple(sorted(found))


def granted(bucket: Any, kind: int, account: str = "") -> set[str]:
    """What the bucket's ACL lets everybody, everybody with a key, or one account do."""
    fitting = [g for g in bucket.acl.grants if g.grant_type == kind and g.grantee_id == account]
    return {action for grant in fitting for action in GRANTED.get(grant.permission, ())}


def lifecycle_rule(rule: Any) -> dict[str, Any]:
    """One lifecycle rule as S3 spells it."""
    spelled: dict[str, Any] = {"Status": "Enabled" if rule.enabled else "Disabled", "Filter": _filter(rule.filter)}
    if rule.id.value:
        spelled["ID"] = rule.id.value
    if rule.HasField("expiration"):
        spelled["Expiration"] = _when(rule.expiration)
        if rule.expiration.HasField("expired_object_delete_marker"):
            spelled["Expiration"]["ExpiredObjectDeleteMarker"] = rule.expiration.expired_object_delete_marker.value
    if rule.transitions:
        spelled["Transitions"] = [{**_when(item), "StorageClass": item.storage_class} for item in rule.transitions]
    if rule.HasField("abort_incomplete_multipart_upload"):
        days = rule.abort_incomplete_multipart_upload.days_after_expiration.value
        spelled["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    if rule.HasField("noncurrent_expiration"):
        spelled["NoncurrentVersionExpiration"] = _noncurrent(rule.noncurrent_expiration)
    if rule.noncurrent_transitions:
        spelled["NoncurrentVersionTransitions"] = [
            {**_noncurrent(item), "StorageClass": item.storage_class} for item in rule.noncurrent_transitions
        ]
    return spelled


def cors_rule(rule: Any) -> dict[str, Any]:
    """One CORS rule as S3 spells it."""
    methods = [rule.Method.Name(method).removeprefix("METHOD_") for method in rule.allowed_methods]
    spelled: dict[str, Any] = {"AllowedMethods": methods, "AllowedOrigins": list(rule.allowed_origins)}
    if rule.id:
        spelled["ID"] = rule.id
    if rule.allowed_headers:
        spelled["AllowedHeaders"] = list(rule.allowed_headers)
    if rule.expose_headers:
        spelled["ExposeHeaders"] = list(rule.expose_headers)
    if rule.HasField("max_age_seconds"):
        spelled["MaxAgeSeconds"] = rule.max_age_seconds.value
    return spelled


def _filter(wanted: Any) -> dict[str, Any]:
    if wanted.HasField("and_operator"):
        inner = _sizes_and_prefix(wanted.and_operator)
        tags = [{"Key": tag.key, "Value": tag.value} for tag in wanted.and_operator.tag]
        return {"And": {**inner, **({"Tags": tags} if tags else {})}}
    spelled = _sizes_and_prefix(wanted)
    if wanted.HasField("tag"):
        spelled["Tag"] = {"Key": wanted.tag.key, "Value": wanted.tag.value}
    return spelled or {"Prefix": ""}


def _sizes_and_prefix(wanted: Any) -> dict[str, Any]:
    spelled: dict[str, Any] = {"Prefix": wanted.prefix} if wanted.prefix else {}
    if wanted.HasField("object_size_greater_than"):
        spelled["ObjectSizeGreaterThan"] = wanted.object_size_greater_than.value
    if wanted.HasField("object_size_less_than"):
        spelled["ObjectSizeLessThan"] = wanted.object_size_less_than.value
    return spelled


def _when(item: Any) -> dict[str, Any]:
    if item.HasField("date"):
        return {"Date": item.date.ToDatetime()}
    return {"Days": item.days.value} if item.HasField("days") else {}


def _noncurrent(item: Any) -> dict[str, Any]:
    spelled = {"NoncurrentDays": item.noncurrent_days.value}
    if item.HasField("newer_noncurrent_versions"):
        spelled["NewerNoncurrentVersions"] = item.newer_noncurrent_versions.value
    return spelled
