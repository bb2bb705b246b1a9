"""What a revision of a serverless container may be. The limits are those of the product's documentation."""

from __future__ import annotations

import re

from google.protobuf.message import Message

from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import invalid, not_found

SECRET, VERSION = "lockbox.v1.Secret", "lockbox.v1.Version"
IMAGE = re.compile(
    r"cr\.yandex/(?P<registry>[a-z0-9]+)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
MIB = 1 << 20
MEMORY_STEP = 128 * MIB
CORES = {2: 4096 * MIB, 3: 6144 * MIB, 4: 8192 * MIB}  # number of cores: the memory that it takes
CONCURRENCY = 16
TIMEOUT, LONGEST_TIMEOUT = 3, 3600  # seconds
ENVIRONMENT = 4096  # bytes of all variables with their names
RESERVED = ("PORT", "REQUEST_PATH")


def complete(revision: Message) -> None:
    """What the service chooses where nothing is said."""
    resources = revision.resources
    resources.cores, resources.core_fraction = resources.cores or 1, resources.core_fraction or 100
    revision.concurrency = revision.concurrency or 1
    if not revision.execution_timeout.ToNanoseconds():
        revision.execution_timeout.FromSeconds(TIMEOUT)
    if not revision.HasField("runtime"):
        revision.runtime.http.SetInParent()
    found = IMAGE.fullmatch(revision.image.image_url)
    if found and found["digest"]:
        revision.image.image_digest = found["digest"]


def check(cloud: Cloud, revision: Message) -> None:
    """Raises ApiError for what the service does not take."""
    if not IMAGE.fullmatch(revision.image.image_url):
        raise invalid(
            f"image_spec.image_url: {revision.image.image_url!r} is no image of Container Registry: "
            "cr.yandex/<registry ID>/<name>, with a tag or @sha256:<digest>"
        )
    _check_resources(revision.resources)
    if not 1 <= revision.concurrency <= CONCURRENCY:
        raise invalid(f"concurrency: Value must be in 1-{CONCURRENCY}")
    if not 0 < revision.execution_timeout.ToSeconds() <= LONGEST_TIMEOUT:
        raise invalid(f"execution_timeout: Value must be in 0s-{LONGEST_TIMEOUT}s")
    for place, value in (
        ("provision_policy.min_instances", revision.provision_policy.min_instances),
        ("scaling_policy.zone_instances_limit", revision.scaling_policy.zone_instances_limit),
        ("scaling_policy.zone_requests_limit", revision.scaling_policy.zone_requests_limit),
    ):
        if value < 0:
            raise invalid(f"{place}: Value must be >=0")
    _check_environment(cloud, revision)


def _check_resources(resources: Message) -> None:
    if not resources.memory:
        raise invalid("resources.memory: Field is required")
    if resources.memory % MEMORY_STEP:
        raise invalid("resources.memory: Value must be a multiple of 128MB")
    if resources.core_fraction % 5:
        raise invalid("resources.core_fraction: Value must be a multiple of 5")
    if resources.cores > 1 and resources.core_fraction != 100:
        raise invalid("resources.core_fraction: Value must be 100 for more than one core")
    needed = CORES.get(resources.cores, 0)
    if resources.memory < needed:
        raise invalid(f"resources.cores: {resources.cores} cores take at least {needed // MIB} MB of memory")


def _check_environment(cloud: Cloud, revision: Message) -> None:
    """Variables, and those that come from secrets."""
    plain = dict(revision.image.environment)
    names = [*plain, *(secret.environment_variable for secret in revision.secrets)]
    for name in RESERVED:
        if name in names:
            raise invalid(f"image_spec.environment: {name} is set by the service")
    if len(set(names)) != len(names):
        raise invalid("secrets: a variable of the environment is set twice")
    if sum(len(name.encode()) + len(value.encode()) for name, value in plain.items()) > ENVIRONMENT:
        raise invalid(f"image_spec.environment: all variables and their names may have {ENVIRONMENT} bytes")
    if revision.secrets and not revision.service_account_id:
        raise invalid("service_account_id: Field is required to read secrets")
    for secret in revision.secrets:
        _check_secret(cloud, secret)


def _check_secret(cloud: Cloud, secret: Message) -> None:
    found = cloud.get(SECRET, secret.id)
    if found is None:
        raise not_found("Secret", secret.id)
    secret.version_id = secret.version_id or found.current_version.id
    version = cloud.get(VERSION, secret.version_id)
    if version is None or version.secret_id != secret.id:
        raise not_found("Version", secret.version_id)
    if secret.key not in version.payload_entry_keys:
        raise not_found("Secret entry", f"{secret.key} of {secret.id}")
    if not secret.environment_variable:
        raise invalid("secrets.environment_variable: Field is required")
