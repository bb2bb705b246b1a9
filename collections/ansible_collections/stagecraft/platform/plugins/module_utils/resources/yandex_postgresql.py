"""Managed PostgreSQL."""

from __future__ import annotations

from typing import Any

from ..descriptors import methods, new
from ..protobuf import put, tidy
from ..yandex import Fail, Field, Ref, Resource, Session, Yandex
from .yandex_vpc import NETWORK, SECURITY_GROUP, SUBNET

SERVICE = "mdb.postgresql.v1.ClusterService"

BACKUPS = "mdb.postgresql.v1.BackupService"


class Clusters(Yandex):
    """Hosts come and go one at a time. A new cluster may begin as what another one was."""

    def examine(self, wanted: dict, have: dict) -> None:
        if wanted.get("hosts") == []:
            raise Fail("hosts: a cluster has at least one host; to delete the cluster say state: absent")

    # ---- restoring ----
    def make(self, wanted: dict) -> Any:
        source = wanted.get("restore_from")
        if source is None:
            return super().make(wanted)
        backup = self.backup(source)
        request = self.fill(self.request("Restore", backup_id=backup.id), wanted)
        if source.get("cluster"):  # all that it has written until now
            request.time.GetCurrentTime()
        return self.call("Restore", request)

    def backup(self, source: dict) -> Any:
        """The backup that is named, or the newest one of the cluster that is named."""
        if source.get("backup"):
            found = self.session.call(
                BACKUPS, "Get", new(methods(BACKUPS)["Get"].input_type, backup_id=source["backup"])
            )
            if found is None:
                raise Fail(
                    f"restore_from: there is no backup {source['backup']}; state: info of its cluster lists them"
                )
            return found
        name = source.get("cluster")
        ident = name and self.session.resolve(self.resource, {"name": name})
        if not ident:
            what = f"there is no cluster {name}" if name else "say which cluster or which backup"
            raise Fail(f"restore_from: {what}; backups of a deleted cluster are restored by their id")
        rows = list(self.session.pages(self.service, "ListBackups", cluster_id=ident))
        if not rows:
            raise Fail(f"restore_from: cluster {name} has no backup yet")
        return max(rows, key=lambda row: row.created_at.ToNanoseconds())

    def details(self) -> dict[str, Any]:
        rows = list(self.session.pages(self.service, "ListBackups", cluster_id=self.id))
        backups = [tidy(r) for r in sorted(rows, key=lambda row: -row.created_at.ToNanoseconds())]
        hosts = [host["name"] for host in self.listed["hosts"]]
        return {"backups": backups, "writable_host": host_to_write_to(self.id, hosts)}

    # ---- hosts ----
    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        if "hosts" in changed:
            self.update_hosts(wanted["hosts"])
        rest = [n for n in changed if n != "hosts"]
        if rest:
            super().update(wanted, rest)
        else:
            self.look()

    def update_hosts(self, want: list[dict]) -> None:
        """New ones first. The leader stays where it may; else one that stays takes over before it goes."""
        here = [dict(row) for row in self.listed["hosts"]]
        here.sort(key=lambda row: row.get("role") != "master")
        staying, new_ones = [], []
        for spec in want:
            fitting = [row for row in here if (row["zone_id"], row["subnet_id"]) == (spec["zone"], spec["subnet"])]
            public = spec.get("public", False)
            row = next((r for r in fitting if r.get("assign_public_ip", False) == public), next(iter(fitting), None))
            if row is None:
                new_ones.append(spec)
                continue
            here.remove(row)
            staying.append(row["name"])
            if row.get("assign_public_ip", False) != public:
                self.set_public(row["name"], public)
        for spec in new_ones:
            request = self.request("AddHosts")
            added = request.host_specs.add()
            for name, value in spec.items():
                put(added, self.bound["hosts"].children[name], value, "write")
            self.call("AddHosts", request)
        if any(row.get("role") == "master" for row in here):
            self.call("StartFailover", self.request("StartFailover", **({"host_name": staying[0]} if staying else {})))
        for row in here:
            request = self.request("DeleteHosts")
            request.host_names.append(row["name"])
            self.call("DeleteHosts", request)

    def set_public(self, host: str, public: bool) -> None:
        request = self.request("UpdateHosts")
        spec = request.update_host_specs.add(host_name=host, assign_public_ip=public)
        spec.update_mask.paths.append("assign_public_ip")
        self.call("UpdateHosts", request)


CLUSTER = Resource(
    "mdb.postgresql.v1.Cluster",
    module="yc_postgresql_cluster",
    backend=Clusters,
    details=(
        ("backups", "Its backups, the newest first; O(state=info) shows them."),
        ("writable_host", "The host name to write to; O(state=info) shows it.", "str"),
    ),
    fields=(
        Ref("network", NETWORK, required=True),
        Field("environment", default="production"),
        Field("version", path="config_spec.version", default="15"),
        Field("preset", path="config_spec.resources.resource_preset_id", required=True),
        Field("disk_size", path="config_spec.resources.disk_size", unit="size", required=True),
        Field("disk_type", path="config_spec.resources.disk_type_id", default="network-ssd"),
        Field(
            "settings",
            "PostgreSQL's own settings, under its own names.",
            "config_spec.postgresql_config_{version}",
            free=True,
        ),
        Field("backup_days", path="config_spec.backup_retain_period_days", usual=7),
        Field("access", path="config_spec.access"),
        Field(
            "hosts",
            path="host_specs",
            doc="Its hosts; of a new cluster the first leads.",
            listed="ListHosts",
            required=True,
            verbs=True,
            fields=(
                Field("zone", path="zone_id", required=True),
                Ref("subnet", SUBNET, required=True),
                Field("public", path="assign_public_ip"),
            ),
        ),
        Ref("security_groups", SECURITY_GROUP, path="security_group_id"),
        Field(
            "maintenance_window",
            "When the cloud may do maintenance.",
            mask="maintenance_window",
            fields=(
                Field("anytime", "Whenever it likes."),
                Field("day", "Day of the week.", "weekly_maintenance_window.day"),
                Field("hour", "Hour of the day in UTC, 1 to 24.", "weekly_maintenance_window.hour"),
            ),
        ),
        Field(
            "restore_from",
            "Begin with the data of a backup: users, databases and rows. Of a cluster that exists nothing is restored.",
            virtual=True,
            create_only=True,
            fields=(
                Field(
                    "cluster", "Name of the cluster; its newest backup and all written since.", "source", virtual=True
                ),
                Field("backup", "Id of a backup, as it was then.", "source", virtual=True),
            ),
        ),
    ),
    example="""
name: pg
network: main
version: "15"
preset: s3-c2-m8
disk_size: 20GB
settings: {max_connections: 200, wal_level: logical}
hosts:
  - {zone: ru-central1-a, subnet: private-a}
""",
)

PARENT = Ref("cluster", CLUSTER, key=True)
DATABASE_NAME = Resource("mdb.postgresql.v1.Database", module="yc_postgresql_database", parent=PARENT)

USER = Resource(
    "mdb.postgresql.v1.User",
    module="yc_postgresql_user",
    parent=PARENT,
    fields=(
        Field("password", write_only=True, required=True),
        Field("conn_limit", usual=50),
        Field("login", usual=True),
        Field("grants"),
        Field(
            "permissions",
            "The databases that it may connect to; the owner of a database needs none for it.",
            late=True,
            fields=(Ref("database", DATABASE_NAME, path="database_name", take="name", required=True, late=True),),
        ),
        Field("settings"),
    ),
    example="""
cluster: pg
name: app
password_secret: {secret: database, key: password}
""",
)

DATABASE = Resource(
    "mdb.postgresql.v1.Database",
    module="yc_postgresql_database",
    parent=PARENT,
    fields=(
        Ref("owner", USER, path="owner", required=True),
        Field("extensions", fields=(Field("name", required=True), Field("version", computed=True))),
        Field("lc_collate", default="C"),
        Field("lc_ctype", default="C"),
    ),
    example="""
cluster: pg
name: app
owner: app
extensions: [{name: pg_trgm}]
""",
)


def host_to_write_to(cluster: str, hosts: list[str]) -> str:
    """The only host's own name, or the name that follows the leader."""
    return hosts[0] if len(hosts) == 1 else f"c-{cluster}.rw.mdb.yandexcloud.net"


def writable_host(session: Session, cluster: Any) -> str:
    """The host name to write to, as record sets have it."""
    hosts = session.pages(SERVICE, "ListHosts", cluster_id=cluster.id)
    return host_to_write_to(cluster.id, [host.name for host in hosts]) + "."
