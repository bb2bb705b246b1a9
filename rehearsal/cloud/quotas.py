"""Quotas: how much of everything a cloud may have, and the refusal that says which of them is used up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import Message
from yandex.cloud.quota.quota_pb2 import QuotaFailure

from rehearsal.cloud import addresses
from rehearsal.cloud.errors import ApiError, Code
from rehearsal.cloud.roles import verb

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud
    from rehearsal.cloud.store import Store

Usage = Callable[["Cloud"], int]
GIB = 1 << 30
SETTING = "quotas"
DISKS_SAID = "The limit on total size of {} disks has exceeded."
INSTANCE, DISK, ADDRESS, HOST = "compute.v1.Instance", "compute.v1.Disk", "vpc.v1.Address", "mdb.postgresql.v1.Host"
REVISION = "serverless.containers.v1.Revision"


def count(api: str) -> Usage:
    """How many there are of a type."""
    return lambda cloud: cloud.store.query("SELECT count(*) FROM resources WHERE api = ?", api)[0][0]


def total(api: str, of: Callable[[Message], int]) -> Usage:
    """The sum of a value of every resource of a type."""
    return lambda cloud: sum(of(resource) for resource in cloud.all(api))


def disks(kind: str) -> Usage:
    return total(DISK, lambda disk: disk.size if disk.type_id.startswith(f"network-{kind}") else 0)


def storage(kind: str) -> Usage:
    """Storage of databases, in bytes."""
    return total(HOST, lambda h: h.resources.disk_size if h.resources.disk_type_id.startswith(f"network-{kind}") else 0)


def public_addresses(cloud: Cloud) -> int:
    """Those in use and those that are kept, each once."""
    kept = {address.external_ipv4_address.address for address in cloud.all(ADDRESS)}
    return len(kept | set(addresses.public_in_use(cloud)))


def provisioned(cloud: Cloud) -> int:
    """Instances of serverless containers that are kept ready: those of active revisions, and of those that will be."""
    most: dict[str, int] = {}
    for revision in cloud.all(REVISION):
        if revision.status in (revision.ACTIVE, revision.CREATING):
            known = most.get(revision.container_id, 0)
            most[revision.container_id] = max(known, revision.provision_policy.min_instances)
    return sum(most.values())


@dataclass(frozen=True)
class Quota:
    """`limit` is the default that the cloud publishes; sizes are in bytes. `said` is the refusal where it has words of its
    own, as Compute does."""

    limit: int
    usage: Usage
    said: str = ""


QUOTAS = {
    "compute.instances.count": Quota(12, count(INSTANCE), "The limit on maximum number of instances has exceeded."),
    "compute.instanceCores.count": Quota(32, total(INSTANCE, lambda instance: instance.resources.cores)),
    "compute.instanceMemory.size": Quota(128 * GIB, total(INSTANCE, lambda instance: instance.resources.memory)),
    "compute.instanceGpus.count": Quota(0, total(INSTANCE, lambda instance: instance.resources.gpus)),
    "compute.disks.count": Quota(32, count(DISK)),
    "compute.ssdDisks.size": Quota(200 * GIB, disks("ssd"), DISKS_SAID.format("network-ssd")),
    "compute.hddDisks.size": Quota(500 * GIB, disks("hdd"), DISKS_SAID.format("network-hdd")),
    "compute.snapshots.count": Quota(32, count("compute.v1.Snapshot")),
    "vpc.networks.count": Quota(2, count("vpc.v1.Network")),
    "vpc.subnets.count": Quota(12, count("vpc.v1.Subnet")),
    "vpc.routeTables.count": Quota(8, count("vpc.v1.RouteTable")),
    "vpc.staticRoutes.count": Quota(256, total("vpc.v1.RouteTable", lambda table: len(table.static_routes))),
    "vpc.securityGroups.count": Quota(10, count("vpc.v1.SecurityGroup")),
    "vpc.externalAddresses.count": Quota(8, public_addresses),
    "vpc.externalStaticAddresses.count": Quota(2, count(ADDRESS)),
    "mdb.clusters.count": Quota(16, count("mdb.postgresql.v1.Cluster")),
    "mdb.ssd.size": Quota(4096 * GIB, storage("ssd")),
    "mdb.hdd.size": Quota(4096 * GIB, storage("hdd")),
    "iam.serviceAccounts.count": Quota(100, count("iam.v1.ServiceAccount")),
    "iam.accessKeys.count": Quota(1000, count("iam.v1.awscompatibility.AccessKey")),
    "iam.authorizedKeys.count": Quota(1000, count("iam.v1.Key")),
    "iam.apiKeys.count": Quota(1000, count("iam.v1.ApiKey")),
    "lockbox.secrets.count": Quota(10000, count("lockbox.v1.Secret")),
    "storage.buckets.count": Quota(25, count("storage.v1.Bucket")),
    "serverless.containers.count": Quota(10, count("serverless.containers.v1.Container")),
    "serverless.containersWorkersProvisioned.count": Quota(2, provisioned),
}
ALSO = {"compute": ("vpc",)}  # what else a service's calls use up: instances have public addresses


class Quotas:
    """The limits of one cloud. Without `published` only those hold that somebody has set."""

    def __init__(self, store: Store, *, published: bool) -> None:
        self._store = store
        self._defaults = {name: quota.limit for name, quota in QUOTAS.items()} if published else {}

    @property
    def limits(self) -> dict[str, int]:
        return self._defaults | json.loads(self._store.setting(SETTING) or "{}")

    def set(self, name: str, limit: int) -> int:
        """Give a quota another limit, kept over restarts. Raises ValueError for a name or limit that cannot be."""
        if name not in QUOTAS:
            raise ValueError(f"{name!r} is no quota here; one of: {', '.join(QUOTAS)}")
        if limit < 0:
            raise ValueError(f"{name}: a limit cannot be negative")
        kept = json.loads(self._store.setting(SETTING) or "{}")
        self._store.put_setting(SETTING, json.dumps(kept | {name: limit}))
        return limit

    def listed(self, cloud: Cloud) -> list[dict]:
        """Every quota with its limit (None: not limited) and its usage."""
        limits = self.limits
        return [{"name": n, "limit": limits.get(n), "usage": q.usage(cloud)} for n, q in QUOTAS.items()]

    def guard(self, cloud: Cloud, method: str) -> AbstractContextManager[None]:
        """Around the transaction's part of a call: what it adds must fit. Raises RESOURCE_EXHAUSTED, and the caller rolls
        back."""
        domains = (package := method.split(".")[0], *ALSO.get(package, ()))
        limits = {n: limit for n, limit in self.limits.items() if n.split(".")[0] in domains}
        return self._checked(cloud, limits) if limits and verb(method) != "read" else nullcontext()

    @contextmanager
    def _checked(self, cloud: Cloud, limits: dict[str, int]) -> Iterator[None]:
        before = {name: QUOTAS[name].usage(cloud) for name in limits}
        yield
        failure, said = QuotaFailure(), []
        for name, limit in limits.items():
            after = QUOTAS[name].usage(cloud)
            if after > max(limit, before[name]):  # a limit below the usage keeps nobody from making it less
                metric = {"name": name, "limit": limit, "usage": before[name]}
                failure.violations.add(metric=metric, required=after)
                said.append(QUOTAS[name].said or f"Quota limit {name} exceeded")
        if said:
            raise ApiError(Code.RESOURCE_EXHAUSTED, " ".join(said), failure)
