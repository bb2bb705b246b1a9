"""What people do to a running stage behind its back: with a console, and as root on machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sdk_calls import Caller

CLOUD = "cloud"
OPEN = {"direction": "INGRESS", "protocol_name": "TCP", "ports": {"from_port": 22, "to_port": 22},
        "cidr_blocks": {"v4_cidr_blocks": ["0.0.0.0/0"]}}  # fmt: skip


@dataclass(frozen=True)
class OnMachine:
    """What root did in a shell, and the rows of drift that are that: (kind, name, what, field)."""

    host: str
    script: str
    rows: frozenset[tuple[str, str, str, str]]


def rows(*found: str) -> frozenset[tuple[str, str, str, str]]:
    """Rows from `<kind> <name> <what> [<field>]` each."""
    parts = [one.split() for one in found]
    return frozenset((p[0], p[1], p[2], p[3] if len(p) > 3 else "") for p in parts)


# Seven on machines; with a console there are eight more.
ON_MACHINES = (
    OnMachine("edge-1", "echo '# by hand' >> /etc/nginx/nginx.conf", rows("file /etc/nginx/nginx.conf changed content")),
    OnMachine("edge-1", "chmod 0666 /etc/security/limits.d/stagecraft.conf",
              rows("file /etc/security/limits.d/stagecraft.conf changed mode")),
    OnMachine("monitoring-1", "rm /etc/audit/rules.d/stagecraft.rules",
              rows("file /etc/audit/rules.d/stagecraft.rules gone")),
    OnMachine("bastion-1", "DEBIAN_FRONTEND=noninteractive apt-get -qq remove auditd", rows("package auditd gone")),
    OnMachine("serving-1", "systemctl disable --now chrony", rows("unit chrony.service changed enabled")),
    OnMachine("backend-1", "systemctl stop inference-api", rows(
        "unit inference-api.service changed active")),
    OnMachine("backend-2", "usermod -s /bin/bash inference-api", rows("user inference-api changed shell")),
)  # fmt: skip
# Nobody declares these, so no run takes them away.
IGNORED = (
    OnMachine("bastion-1", "useradd -m alice", rows("user alice new", "group alice new")),
    OnMachine("bastion-1", "systemd-run -q --unit by-hand python3 -m http.server 8099", rows("port 0.0.0.0:8099/tcp new")),
    OnMachine("bastion-1", "DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends tree",
              rows("package tree new")),
)  # fmt: skip


def in_the_cloud(cloud: Caller) -> frozenset[tuple[str, str, str, str]]:
    """Eight changes with a console; the rows of drift that are those."""
    groups, tables = "vpc.v1.SecurityGroupService", "vpc.v1.RouteTableService"
    machines, zones, buckets = "compute.v1.InstanceService", "dns.v1.DnsZoneService", "storage.v1.BucketService"
    users = "mdb.postgresql.v1.UserService"
    cloud(f"{groups}.UpdateRules", security_group_id=named(cloud, groups, "serving")["id"], addition_rule_specs=[OPEN])
    change(cloud, tables, "route_table_id", named(cloud, tables, "private")["id"], static_routes=[])
    machine = named(cloud, machines, "serving-1")
    change(cloud, machines, "instance_id", machine["id"], labels=machine["labels"] | {"team": "bob"})
    zone, domain = named(cloud, zones, "internal")["id"], "partners.internal."
    record = {"name": f"backend-1.{domain}", "type": "A", "ttl": 60, "data": ["10.10.1.99"]}
    old = record | {"data": [machine_address(cloud, "backend-1")]}
    cloud(f"{zones}.UpdateRecordSets", dns_zone_id=zone, deletions=[old], additions=[record])
    gone = {"name": f"edge-1.{domain}", "type": "A", "ttl": 60, "data": [machine_address(cloud, "edge-1")]}
    cloud(f"{zones}.UpdateRecordSets", dns_zone_id=zone, deletions=[gone])
    cluster = named(cloud, "mdb.postgresql.v1.ClusterService", "main")["id"]
    change(cloud, users, "cluster_id", cluster, user_name="inference", conn_limit=20)
    change(cloud, users, "cluster_id", cluster, user_name="monitoring", grants=[])
    bucket = named(cloud, buckets, f"partners-{cloud.folder}")["name"]
    change(cloud, buckets, "name", bucket, versioning="VERSIONING_SUSPENDED")
    return rows(
        "vpc_security_group serving changed rules[]", "vpc_route_table private changed routes[1]",
        "compute_instance serving-1 changed labels.team",
        f"dns_record_set internal/backend-1.{domain}/A changed instances[]",
        f"dns_record_set internal/backend-1.{domain}/A changed instances[1]",
        f"dns_record_set internal/edge-1.{domain}/A gone", "postgresql_user main/inference changed conn_limit",
        "postgresql_user main/monitoring changed grants[1]", f"storage_bucket {bucket} changed versioning",
    )  # fmt: skip


def an_extension(cloud: Caller) -> frozenset[tuple[str, str, str, str]]:
    """One that nobody declares: no run takes it away."""
    cluster = named(cloud, "mdb.postgresql.v1.ClusterService", "main")["id"]
    change(cloud, "mdb.postgresql.v1.DatabaseService", "cluster_id", cluster, database_name="inference",
           extensions=[{"name": "pg_trgm"}])  # fmt: skip
    return rows("postgresql_database main/inference changed extensions[]")


def named(cloud: Caller, service: str, name: str) -> dict[str, Any]:
    """What a service has of that name in the folder."""
    (things,) = [
        value for value in cloud(f"{service}.List", folder_id=cloud.folder).values() if isinstance(value, list)
    ]
    return next(one for one in things if one["name"] == name)


def machine_address(cloud: Caller, name: str) -> str:
    machine = named(cloud, "compute.v1.InstanceService", name)
    return machine["network_interfaces"][0]["primary_v4_address"]["address"]


def change(cloud: Caller, service: str, key: str, ident: str, **values: Any) -> None:
    """An update of just these fields."""
    fields = [name for name in values if not name.endswith("_name")]
    cloud(f"{service}.Update", **{key: ident}, **values, update_mask={"paths": fields})
