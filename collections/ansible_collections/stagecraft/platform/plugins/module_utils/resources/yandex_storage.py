"""Object Storage."""

from __future__ import annotations

from ..yandex import Field, Ref, Resource
from .yandex_iam import SERVICE_ACCOUNT
from .yandex_kms import SYMMETRIC_KEY

BUCKET = Resource(
    "storage.v1.Bucket",
    view="VIEW_FULL",
    fields=(
        Field("max_size", unit="size"),
        Field("storage_class", path="default_storage_class"),
        Field("versioning"),
        Field("anonymous_access", path="anonymous_access_flags"),
        Field(
            "lifecycle",
            "What happens to objects as they grow old.",
            "lifecycle_rules",
            fields=(
                Field("id", required=True),
                Field("enabled", default=True),
                Field("prefix", "Only objects whose key begins with this.", "filter.prefix"),
                Field("expire_days", "Delete objects after so many days.", "expiration.days"),
                Field(
                    "expire_versions_days",
                    "Delete old versions after so many days.",
                    "noncurrent_expiration.noncurrent_days",
                ),
                Field(
                    "abort_uploads_days",
                    "Give up unfinished uploads after so many days.",
                    "abort_incomplete_multipart_upload.days_after_expiration",
                ),
            ),
        ),
        Field(
            "acl",
            "Who else may do what with the whole bucket; anonymous_access is the simpler way to open it for reading.",
            "acl.grants",
            mask="acl",
            fields=(
                Field("permission", required=True),
                Field("type", "Whom it is for.", "grant_type", required=True),
                Ref(
                    "service_account",
                    SERVICE_ACCOUNT,
                    "Name of the service account, of a grant for an account.",
                    "grantee_id",
                    computed=True,
                ),
            ),
        ),
        Field(
            "cors",
            "What pages of other origins may do in a browser.",
            fields=(
                Field("id"),
                Field("allowed_methods", required=True),
                Field("allowed_origins", required=True),
                Field("allowed_headers"),
                Field("expose_headers"),
                Field("max_age", "How long a browser may remember the answer.", "max_age_seconds", unit="duration"),
            ),
        ),
        Field("policy", "The bucket's policy, with C(Version) and C(Statement) as S3 has them."),
        Field(
            "encryption",
            "The key that new objects are encrypted with.",
            "encryption.rules",
            mask="encryption",
            fields=(
                Ref("kms_key", SYMMETRIC_KEY, "Name of the key.", "kms_master_key_id", required=True),
                Field("algorithm", path="sse_algorithm", default="aws:kms"),
            ),
        ),
        Field("labels", path="tags"),
    ),
    example="""
name: stage-models
max_size: 50GB
versioning: enabled
lifecycle:
  - {id: old-versions, expire_versions_days: 30}
encryption: [{kms_key: data}]
""",
)
