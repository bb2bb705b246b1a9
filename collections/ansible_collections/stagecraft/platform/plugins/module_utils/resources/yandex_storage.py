"""Object Storage."""

from __future__ import annotations

from ..yandex import Field, Resource

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
        Field("labels", path="tags"),
    ),
    example="""
name: stage-models
max_size: 50GB
versioning: enabled
lifecycle:
  - {id: old-versions, expire_versions_days: 30}
""",
)
