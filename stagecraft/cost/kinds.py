"""What each kind of resource is billed for: prices by name, attached to fields of its declaration and to its use."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from stagecraft.cost.item import HOURS, Item
from stagecraft.stages import Refused

SECONDS = Decimal(3600)  # of an hour
STEP = Decimal("0.1")  # seconds, to which the provider rounds up how long a container runs
PRESET = re.compile(r"([a-z]+\d+)-c(\d+)-m(\d+)")
PROCESSOR = {"standard-v3": "ice-lake", "standard-v3-t4": "ice-lake"}  # platforms that share the price of a core


Count = Callable[[Item], Decimal]


@dataclass(frozen=True)
class Charge:
    """Something that is billed: what, in which unit, the name of its price, and how many units a month has."""

    what: str
    unit: str
    price: str | Callable[[Item], str]
    amount: Count

    def price_of(self, item: Item) -> str:
        return self.price if isinstance(self.price, str) else self.price(item)


@dataclass(frozen=True)
class Kind:
    """The component of the stage that a kind is counted in, what it is billed for, and what its `usage` may say."""

    component: str
    charges: tuple[Charge, ...]
    usage: tuple[str, ...] = ()


def preemptible(item: Item) -> str:
    return ".preemptible" if item.flag("preemptible") else ""


def core(item: Item) -> str:
    platform = item.text("platform", "standard-v3")
    fraction = item.number("core_fraction", 100)
    return f"compute.{PROCESSOR.get(platform, platform)}.vcpu-{fraction}{preemptible(item)}"


def memory(item: Item) -> str:
    platform = item.text("platform", "standard-v3")
    return f"compute.{PROCESSOR.get(platform, platform)}.ram{preemptible(item)}"


def gpu(item: Item) -> str:
    return f"compute.{item.text('platform', 'standard-v3')}.gpu{preemptible(item)}"


def passing_addresses(item: Item) -> Decimal:
    """Public addresses that are its own while it runs; a reserved one is a resource of its own."""
    interfaces = item.parts("network_interfaces")
    return Decimal(sum(1 for one in interfaces if item.true(one, "nat") and not one.get("public_address")))


def egress(item: Item) -> Decimal:
    """GB that leave through addresses of its own."""
    return item.assumed_size("egress") if passing_addresses(item) and item.hours() else item.assumed_size("egress", 0)


def preset(item: Item) -> tuple[str, Decimal, Decimal]:
    """The generation, processors and memory of a database host. Raises Refused for a preset that does not say them."""
    found = PRESET.fullmatch(item.text("preset"))
    if not found:
        raise Refused(f"{item}: preset is {item.text('preset')!r}; one such as s3-c2-m8 can be priced.", 2)
    return found[1], Decimal(found[2]), Decimal(found[3])


def host(part: str) -> Callable[[Item], str]:
    return lambda item: f"postgresql.{preset(item)[0]}.{part}"


def host_hours(item: Item) -> Decimal:
    return len(item.parts("hosts")) * HOURS


def public_hosts(item: Item) -> Decimal:
    return Decimal(sum(1 for one in item.parts("hosts") if item.true(one, "public")))


def disk(family: str, field: str) -> Callable[[Item], str]:
    """The price of a disk of the type that a field names, network-ssd where it names none, as the engine has it."""
    return lambda item: f"{family}.{item.text(field, 'network-ssd')}"


def storage_class(item: Item) -> str:
    declared = item.text("storage_class", "standard").lower()
    return "storage.stored" if declared == "standard" else f"storage.stored.{declared}"


def stored(item: Item) -> Decimal:
    """GB in a bucket. Raises Refused where more is assumed than it may hold."""
    assumed = item.assumed_size("stored")
    if item.declared.get("max_size") is not None and assumed > item.size("max_size"):
        raise Refused(
            f"{item}: usage assumes {item.usage['stored']} in it, and its max_size is {item.declared['max_size']}.", 2
        )
    return assumed


def running(item: Item) -> Decimal:
    """Hours in a month in which a container handles requests, one after the other, each rounded up."""
    steps = (item.assumed("seconds") / STEP).to_integral_value(ROUND_CEILING)
    return item.assumed("requests") * steps * STEP / SECONDS


def container_cores(item: Item) -> Decimal:
    return item.number("cores", 1) * item.number("core_fraction", 100) / 100


def ready(item: Item) -> Decimal:
    """Hours in a month of the instances that wait for requests."""
    return item.number("min_instances", 0) * HOURS


def public_zone(item: Item) -> Decimal:
    return item.assumed("queries") if item.flag("public") else Decimal(0)


# kind -> what it is billed for
KINDS: dict[str, Kind] = {
    "compute_instance": Kind("machines", (
        Charge("processors", "vCPU_hour", core, lambda i: i.number("cores") * i.hours()),
        Charge("memory", "GB_hour", memory, lambda i: i.size("memory") * i.hours()),
        Charge("GPUs", "GPU_hour", gpu, lambda i: i.number("gpus", 0) * i.hours()),
        Charge("boot disks", "GB_hour", disk("disk", "disk_type"), lambda i: i.size("disk_size") * HOURS),
        Charge("public addresses", "address_hour", "vpc.address", lambda i: passing_addresses(i) * i.hours()),
        Charge("outgoing traffic", "GB", "vpc.egress", egress),
    ), ("hours", "egress")),
    "compute_disk": Kind("machines", (
        Charge("disks", "GB_hour", disk("disk", "type"), lambda i: i.size("size") * HOURS),
    )),
    "compute_snapshot": Kind("machines", (
        Charge("snapshots", "GB_hour", "disk.snapshot", lambda i: i.assumed_size("stored") * HOURS),
    ), ("stored",)),
    "compute_snapshot_schedule": Kind("machines", (
        Charge("snapshots", "GB_hour", "disk.snapshot", lambda i: i.assumed_size("stored") * HOURS),
    ), ("stored",)),
    "vpc_address": Kind("network", (
        Charge("public addresses", "address_hour", "vpc.address", lambda i: HOURS),
        Charge("outgoing traffic", "GB", "vpc.egress", lambda i: i.assumed_size("egress")),
    ), ("egress",)),
    "vpc_gateway": Kind("network", (
        Charge("NAT gateways", "gateway_hour", "vpc.nat_gateway", lambda i: HOURS),
        Charge("outgoing traffic", "GB", "vpc.egress", lambda i: i.assumed_size("egress")),
    ), ("egress",)),
    "dns_zone": Kind("network", (
        Charge("DNS zones", "zone_hour", "dns.zones", lambda i: HOURS),
        Charge("DNS queries", "request", "dns.queries", public_zone),
    ), ("queries",)),
    "storage_bucket": Kind("storage", (
        Charge("stored", "GB_hour", storage_class, lambda i: stored(i) * HOURS),
        Charge("writes", "request", "storage.writes", lambda i: i.assumed("writes")),
        Charge("reads beyond what is free", "request", "storage.reads", lambda i: i.assumed("reads", 0)),
        Charge("outgoing traffic", "GB", "vpc.egress", lambda i: i.assumed_size("egress", 0)),
    ), ("stored", "writes", "reads", "egress")),
    "postgresql_cluster": Kind("database", (
        Charge("processors", "vCPU_hour", host("vcpu"), lambda i: preset(i)[1] * host_hours(i)),
        Charge("memory", "GB_hour", host("ram"), lambda i: preset(i)[2] * host_hours(i)),
        Charge("disks", "GB_hour", disk("postgresql", "disk_type"), lambda i: i.size("disk_size") * host_hours(i)),
        Charge("public addresses", "address_hour", "vpc.address", lambda i: public_hosts(i) * HOURS),
    )),
    "serverless_container": Kind("containers", (
        Charge("processors", "vCPU_hour", "serverless.vcpu", lambda i: container_cores(i) * running(i)),
        Charge("memory", "GB_hour", "serverless.ram", lambda i: i.size("memory") * running(i)),
        Charge("calls", "request", "serverless.calls", lambda i: i.assumed("requests")),
        Charge("processors kept ready", "vCPU_hour", "serverless.ready.vcpu", lambda i: container_cores(i) * ready(i)),
        Charge("memory kept ready", "GB_hour", "serverless.ready.ram", lambda i: i.size("memory") * ready(i)),
        Charge("outgoing traffic", "GB", "vpc.egress", lambda i: i.assumed_size("egress", 0)),
    ), ("requests", "seconds", "egress")),
    "api_gateway": Kind("containers", (
        Charge("gateway requests", "request", "api_gateway.requests", lambda i: i.assumed("requests")),
        Charge("outgoing traffic", "GB", "vpc.egress", lambda i: i.assumed_size("egress", 0)),
    ), ("requests", "egress")),
    "containerregistry_registry": Kind("images", (
        Charge("stored", "GB_hour", "registry.stored", lambda i: i.assumed_size("stored") * HOURS),
    ), ("stored",)),
    "containerregistry_scan_policy": Kind("images", (
        Charge("scans", "image", "registry.scans", lambda i: i.assumed("scans")),
    ), ("scans",)),
    "lockbox_secret": Kind("secrets", (
        Charge("secrets", "version_hour", "lockbox.versions", lambda i: i.assumed("versions", 1) * HOURS),
        Charge("reads of secrets", "request", "lockbox.reads", lambda i: i.assumed("reads")),
    ), ("versions", "reads")),
    "kms_symmetric_key": Kind("secrets", (
        Charge("keys", "version_hour", "kms.versions", lambda i: i.assumed("versions", 1) * HOURS),
        Charge("encryption", "request", "kms.operations", lambda i: i.assumed("operations")),
    ), ("versions", "operations")),
    "logging_log_group": Kind("logs", (
        Charge("logs", "GB", "logging.ingested", lambda i: i.assumed_size("ingested")),
    ), ("ingested",)),
}  # fmt: skip

# The provider does not bill these; what they hold or pass is billed where it lies.
FREE = frozenset((
    "certificatemanager_certificate", "containerregistry_lifecycle_policy", "containerregistry_repository",
    "dns_record_set", "iam_access_key", "iam_api_key", "iam_folder_binding", "iam_folder_roles", "iam_key",
    "iam_service_account", "postgresql_database", "postgresql_user", "vpc_network", "vpc_route_table",
    "vpc_security_group", "vpc_subnet",
))  # fmt: skip
