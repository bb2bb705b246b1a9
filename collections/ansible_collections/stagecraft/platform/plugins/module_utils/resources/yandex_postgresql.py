"""Managed PostgreSQL."""

from __future__ import annotations

from typing import Any

from ..yandex import Field, Ref, Resource, Session
from .yandex_vpc import NETWORK, SECURITY_GROUP, SUBNET

SERVICE = "mdb.postgresql.v1.ClusterService"

CLUSTER = Resource(
    "mdb.postgresql.v1.Cluster",
    module="yc_postgresql_cluster",
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
        Field("backup_days", path="config_spec.backup_retain_period_days"),
        Field("access", path="config_spec.access"),
        Field(
            "hosts",
            path="host_specs",
            doc="Its hosts; the first leads.",
            listed="ListHosts",
            required=True,
            fixed="hosts of a cluster that exists are added and removed with `yc managed-postgresql hosts`",
            fields=(
                Field("zone", path="zone_id", required=True),
                Ref("subnet", SUBNET, required=True),
                Field("public", path="assign_public_ip"),
            ),
        ),
        Ref("security_groups", SECURITY_GROUP, path="security_group_id"),
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
        Field("conn_limit"),
        Field("login"),
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


def writable_host(session: Session, cluster: Any) -> str:
    """The host name to write to: the only host's own, or the name that follows the leader."""
    hosts = list(session.pages(SERVICE, "ListHosts", cluster_id=cluster.id))
    name = hosts[0].name if len(hosts) == 1 else f"c-{cluster.id}.rw.mdb.yandexcloud.net"
    return f"{name}."
