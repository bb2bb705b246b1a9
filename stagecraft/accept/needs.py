"""What a stage uses up of a cloud's quotas, by what it declares; and which of them are too small for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stagecraft.cost.estimate import name_of
from stagecraft.cost.item import GB, Item
from stagecraft.cost.kinds import passing_addresses
from stagecraft.stages import Refused, Stage, import_collection

Count = Callable[[Item], Decimal]
DISK = "network-ssd"  # where a declaration names no type, as the engine has it
LEASE = "iam.serviceAccounts.count"  # a run's lease is an account of its own


def one(item: Item) -> Decimal:
    return Decimal(1)


def disk(family: str, type_field: str, size_field: str) -> Count:
    """The bytes of a disk where it is of a family such as `ssd`."""

    def size(item: Item) -> Decimal:
        of_family = item.text(type_field, DISK).startswith(f"network-{family}")
        return item.size(size_field) * GB if of_family else Decimal(0)

    return size


def hosts(family: str) -> Count:
    """The bytes of a cluster's disks: one a host."""
    size = disk(family, "disk_type", "disk_size")
    return lambda item: size(item) * len(item.parts("hosts"))


# (quota, kind, how much of it one such resource uses up); sizes are in bytes
USES: tuple[tuple[str, str, Count], ...] = (
    ("compute.instances.count", "compute_instance", one),
    ("compute.instanceCores.count", "compute_instance", lambda item: item.number("cores")),
    ("compute.instanceMemory.size", "compute_instance", lambda item: item.size("memory") * GB),
    ("compute.instanceGpus.count", "compute_instance", lambda item: item.number("gpus", 0)),
    ("compute.disks.count", "compute_instance", one),
    ("compute.disks.count", "compute_disk", one),
    ("compute.ssdDisks.size", "compute_instance", disk("ssd", "disk_type", "disk_size")),
    ("compute.ssdDisks.size", "compute_disk", disk("ssd", "type", "size")),
    ("compute.hddDisks.size", "compute_instance", disk("hdd", "disk_type", "disk_size")),
    ("compute.hddDisks.size", "compute_disk", disk("hdd", "type", "size")),
    ("compute.snapshots.count", "compute_snapshot", one),
    ("vpc.networks.count", "vpc_network", one),
    ("vpc.subnets.count", "vpc_subnet", one),
    ("vpc.routeTables.count", "vpc_route_table", one),
    ("vpc.staticRoutes.count", "vpc_route_table", lambda item: Decimal(len(item.parts("routes")))),
    ("vpc.securityGroups.count", "vpc_security_group", one),
    ("vpc.securityGroups.count", "vpc_network", one),  # each network comes with one
    ("vpc.externalAddresses.count", "vpc_address", one),
    ("vpc.externalAddresses.count", "compute_instance", passing_addresses),
    ("vpc.externalStaticAddresses.count", "vpc_address", one),
    ("mdb.clusters.count", "postgresql_cluster", one),
    ("mdb.ssd.size", "postgresql_cluster", hosts("ssd")),
    ("mdb.hdd.size", "postgresql_cluster", hosts("hdd")),
    ("iam.serviceAccounts.count", "iam_service_account", one),
    ("iam.accessKeys.count", "iam_access_key", one),
    ("iam.authorizedKeys.count", "iam_key", one),
    ("iam.apiKeys.count", "iam_api_key", one),
    ("lockbox.secrets.count", "lockbox_secret", one),
    ("storage.buckets.count", "storage_bucket", one),
    ("serverless.containers.count", "serverless_container", one),
    (
        "serverless.containersWorkersProvisioned.count",
        "serverless_container",
        lambda item: item.number("min_instances", 0),
    ),
)


@dataclass(frozen=True)
class Need:
    """How much of a quota a stage wants, and what the cloud says of it; sizes in bytes."""

    quota: str
    wanted: int
    limit: float
    used: float

    @property
    def left(self) -> float:
        return max(self.limit - self.used, 0)

    def __str__(self) -> str:
        wanted, left, limit = (shown(self.quota, number) for number in (self.wanted, self.left, self.limit))
        return f"{self.quota}: {wanted} needed, {left} left of {limit}"


def shown(quota: str, number: float) -> str:
    """A number as a person reads it: sizes in GB."""
    return f"{number / float(GB):g} GB" if quota.endswith(".size") else f"{number:g}"


def wanted(stage: Stage, resources: Mapping[str, Any]) -> dict[str, int]:
    """How much of each quota a stage's resources use up, without those of which it uses nothing. Raises Refused."""
    found: dict[str, Decimal] = {LEASE: Decimal(1)}
    for quota, kind, count in USES:
        for item in declared(stage, kind, resources):
            found[quota] = found.get(quota, Decimal(0)) + count(item)
    return {quota: int(amount) for quota, amount in found.items() if amount}


def declared(stage: Stage, kind: str, resources: Mapping[str, Any]) -> Iterator[Item]:
    """The resources of a kind that are to be there. Keys of two accounts may have one name."""
    given = resources.get(kind) or {}
    rows = given.items() if isinstance(given, dict) else ((name_of(one), one) for one in given)
    for name, fields in rows:
        if (fields or {}).get("state") != "absent":
            yield Item(stage.name, kind, name, fields or {})


def refuse_what_does_not_fit(
    stage: Stage, cloud: str, needed: Mapping[str, int], told: Mapping[str, list[float | None]]
) -> None:
    """Raises Refused that names each quota which is too small, by its limit and usage as the cloud tells them."""
    short = [need for need in needs(needed, told) if need.wanted > need.left]
    if not short:
        return
    import_collection()
    from ansible_collections.stagecraft.platform.plugins.module_utils.errors import more_of

    more = more_of({need.quota: need.used + need.wanted for need in short}, cloud)
    lines = [f"{stage.name} does not fit into what the cloud may have. Nothing was touched.", *map(str, short)]
    lines.append(f"ask for more: {more}")
    lines.append(f"or in the console: https://console.yandex.cloud/cloud/{cloud}/quotas; or delete what is not needed")
    raise Refused("\n  ".join(lines))


def needs(needed: Mapping[str, int], told: Mapping[str, list[float | None]]) -> Iterator[Need]:
    """Those that the cloud limits."""
    for quota, amount in needed.items():
        limit, used = told.get(quota, [None, None])
        if limit is not None:
            yield Need(quota, amount, limit, used or 0)
