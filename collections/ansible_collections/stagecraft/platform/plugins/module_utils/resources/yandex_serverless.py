"""Serverless Containers."""

from __future__ import annotations

from ..access import ACCESS
from ..serverless import Containers
from ..yandex import SECRET, Field, Ref, Resource
from .yandex_iam import SERVICE_ACCOUNT
from .yandex_logging import LOG_GROUP
from .yandex_storage import BUCKET
from .yandex_vpc import NETWORK

LOG_OPTIONS = Field(
    "log_options",
    "What is written to Cloud Logging, and where; by default everything, to the folder's default log group.",
    fields=(
        Field("disabled", "Write nothing."),
        Ref("log_group", LOG_GROUP),
        Field("folder", "ID of the folder whose default log group is written to.", "folder_id"),
        Field("min_level", "The least severe level that is written."),
    ),
)

CONTAINER = Resource(
    "serverless.containers.v1.Container",
    backend=Containers,
    note="A change of what it runs deploys another revision, which serves when an instance of it has started; where none "
    "does, the one before goes on serving. What is not declared is as in the revision before.",
    details=(
        ("revision_id", "ID of the revision that serves.", "str"),
        ("image_digest", "Digest of the image that it runs.", "str"),
        ("revisions", "Its revisions, the newest first; O(state=info) shows them."),
    ),
    fields=(ACCESS,),
    template=(
        Field(
            "image",
            "The image, in a registry, by its digest (or by a tag, which is read at deployment only).",
            "image.image_url",
            required=True,
        ),
        Field("command", "Instead of the image's entry point.", "image.command.command", ordered=True),
        Field("args", "Instead of the image's arguments.", "image.args.args", ordered=True),
        Field("environment", "Variables; C(PORT) is set by the service.", "image.environment"),
        Field("working_dir", "Instead of the image's working directory.", "image.working_dir"),
        Field("memory", "128 MB to 8 GB, in steps of 128 MB.", "resources.memory", unit="size", required=True),
        Field("cores", "2 cores take at least 4 GB of memory, 3 take 6 GB, 4 take 8 GB.", "resources.cores", usual=1),
        Field(
            "core_fraction", "Percent, in steps of 5; more than one core has 100.", "resources.core_fraction", usual=100
        ),
        Field("concurrency", "Requests that an instance handles at a time, 1 to 16.", usual=1),
        Field("execution_timeout", "How long a request may take, up to 1h.", unit="duration"),
        Ref(
            "service_account",
            SERVICE_ACCOUNT,
            "Name of the account that it runs as, and its image is pulled as.",
            acts=True,
        ),
        Field(
            "secrets",
            "Variables that come from Lockbox, read as O(service_account).",
            fields=(
                Field("variable", "Name of the variable.", "environment_variable", required=True),
                Ref("secret", SECRET, path="id", required=True),
                Field("key", "Key of the entry.", required=True),
                Field(
                    "version",
                    "ID of the secret's version. By default the current one, so that a new one brings a new revision.",
                    "version_id",
                    computed=True,
                ),
            ),
        ),
        Ref("network", NETWORK, "Name of the network that it can reach.", "connectivity.network_id"),
        Field("min_instances", "Instances that are kept ready.", "provision_policy.min_instances"),
        Field(
            "zone_instances_limit",
            "The most instances in a zone; 0 is no limit but the quota.",
            "scaling_policy.zone_instances_limit",
        ),
        Field(
            "zone_requests_limit",
            "The most requests at a time in a zone; 0 is no limit but the quota.",
            "scaling_policy.zone_requests_limit",
        ),
        Field(
            "mounts",
            "Buckets in its file system.",
            fields=(
                Field("path", "Where it is mounted.", "mount_point_path", required=True),
                Ref("bucket", BUCKET, path="object_storage.bucket_id", required=True),
                Field("prefix", "Only objects whose key begins with this.", "object_storage.prefix"),
                Field("mode", default="read_only"),
            ),
        ),
        LOG_OPTIONS,
    ),
    example="""
name: api
image: cr.yandex/crp9ftr22d26age3hulg/api@sha256:0f3d2c4e5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f
memory: 512MB
concurrency: 8
execution_timeout: 30s
service_account: api
environment: {MODEL: digits}
secrets: [{variable: API_KEYS, secret: api-keys, key: keys}]
zone_instances_limit: 3
access:
  - {role: serverless-containers.containerInvoker, everybody: all_users}
""",
)
