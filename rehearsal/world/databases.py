"""Managed PostgreSQL behind the emulated cloud: real servers, with the product's limits.

A host is a container in a network namespace of its own. Its users are no superusers and make no roles, databases or
extensions: only the cloud's API does. One host of a cluster leads, the others follow it."""

from __future__ import annotations

import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import SQL, Literal
from yandex.cloud.mdb.postgresql.v1.cluster_pb2 import Cluster

from rehearsal.places import Place
from rehearsal.world import WorldError, postgres_copies, postgres_objects, postgres_settings
from rehearsal.world.postgres_host import Host, following, host_id
from rehearsal.world.postgres_image import VERSION
from rehearsal.world.postgres_password import scram_verifier
from rehearsal.world.topology import Endpoint, Interface

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud
    from rehearsal.world.network import Network

HOST, USER, CLUSTER = (f"mdb.postgresql.v1.{noun}" for noun in ("Host", "User", "Cluster"))
AT_REST = (Cluster.STOPPING, Cluster.STOPPED)


class Databases:
    """The managed PostgreSQL clusters of one rehearsal. Methods may be called from any thread."""

    def __init__(self, place: Place, network: Network) -> None:
        self._place = place
        self._network = network
        self._folder = place.folder / "databases"
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    # ---- what the network needs to know ----
    def endpoints(self, cloud: Cloud) -> list[Endpoint]:
        """Where the hosts are, by which names, behind which security groups."""
        clusters = {cluster.id: cluster for cluster in cloud.all(CLUSTER)}
        found = [
            self._endpoint(cloud, clusters[host.cluster_id], host)
            for host in cloud.all(HOST)
            if host.cluster_id in clusters
        ]
        return [endpoint for endpoint in found if endpoint is not None]

    def _endpoint(self, cloud: Cloud, cluster: Any, host: Any) -> Endpoint | None:
        """A host on the network; None while it has no address."""
        address = cloud.facts(HOST, host.name).get("address")
        if not address:
            return None
        interface = Interface(host.subnet_id, IPv4Address(address), groups=tuple(cluster.security_group_ids))
        return Endpoint(host_id(host.name), tuple(_names(cluster, host, self._records(cloud, cluster))), (interface,))

    # ---- clusters ----
    def resume(self, cloud: Cloud) -> None:
        """Bring back the servers that should run. Data and settings are on disk."""
        for cluster in cloud.all(CLUSTER):
            if cluster.status not in (*AT_REST, Cluster.CREATING):
                self.put_cluster(cloud, cluster)

    def put_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """Make the cluster's hosts run with the cluster's settings, those without the lead as followers."""
        with self._locks[cluster.id]:
            first, *others = self._records(cloud, cluster)
            if cluster.config.version != VERSION:
                raise WorldError(f"cluster {cluster.name}: a rehearsal has PostgreSQL {VERSION} only")
            for record in (first, *others):
                endpoint = self._endpoint(cloud, cluster, record)
                if endpoint is None:
                    raise WorldError(f"cluster {cluster.name}: its host {record.name} has no address in a subnet")
                self._network.join(endpoint)
            leader = self._server(cluster, first)
            leader.start(_certified(cluster, first))
            with _explained(f"cluster {cluster.name}"), leader.connect() as connection:
                postgres_objects.prepare(connection)
                settings = postgres_settings.server(_config(cluster), _parameters(connection))
            leader.configure(settings)
            for record in others:
                follower = self._server(cluster, record)
                postgres_copies.follow(self._place, follower, leader)
                follower.start(_certified(cluster, record), leader)
                follower.configure({**settings, **following(follower.id)})
            self._remove(cluster, {host_id(record.name) for record in (first, *others)})

    def stop_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """End the servers, the leader last; their data stay."""
        with self._locks[cluster.id]:
            for record in reversed(self._records(cloud, cluster)):
                self._server(cluster, record).stop()

    def lead(self, cloud: Cloud, cluster: Any, host: Any) -> None:
        """Have another host take writes; the next `put_cluster` makes the others follow it."""
        with self._locks[cluster.id], _explained(f"cluster {cluster.name}"):
            others = [record for record in self._records(cloud, cluster) if record.name != host.name]
            postgres_copies.lead(self._server(cluster, host), [self._server(cluster, other) for other in others])

    def delete_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """Remove the cluster with its data; one that does not exist is fine."""
        with self._locks[cluster.id]:
            # By folder, and by the cloud's records: either of them may be gone already.
            recorded = {host_id(host.name) for host in cloud.all(HOST) if host.cluster_id == cluster.id}
            self._remove(cluster, set(), recorded)
            shutil.rmtree(self._folder / cluster.id, ignore_errors=True)

    def _remove(self, cluster: Any, stay: set[str], recorded: set[str] = frozenset()) -> None:
        """Hosts that are there, or recorded, go with their data; those that `stay` do not."""
        folder = self._folder / cluster.id
        kept = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        for ident in sorted((recorded | kept) - stay):
            Host(self._place, ident, folder / ident).delete()
            self._network.detach(ident)

    # ---- backups ----
    def back_up(self, cloud: Cloud, cluster: Any, backup: Any) -> None:
        """Copy the leader's data beside the clusters: they outlive their cluster."""
        with self._locks[cluster.id]:
            postgres_copies.back_up(self._place, self._leader(cloud, cluster), self._backup(backup))

    def delete_backup(self, backup: Any) -> None:
        shutil.rmtree(self._backup(backup), ignore_errors=True)

    def restore_cluster(self, cloud: Cloud, cluster: Any, backup: Any, *, live: bool) -> None:
        """Give a new cluster's leader a backup's data; `live`, what the backup's cluster has now."""
        host = self._leader(cloud, cluster)
        if not live:
            postgres_copies.begin_from(host, self._backup(backup))
            return
        source = cloud.get(CLUSTER, backup.source_cluster_id)
        with self._locks[source.id]:
            leader = self._leader(cloud, source)
            if not leader.running():  # at rest, its data are whole as they are
                postgres_copies.begin_from(host, leader.data)
            elif not host.data.exists():
                postgres_copies.back_up(self._place, leader, host.data)

    def _backup(self, backup: Any) -> Path:
        return self._place.folder / "backups" / backup.id

    # ---- users ----
    def put_user(self, cloud: Cloud, cluster: Any, user: Any, password: str | None) -> None:
        verifier = scram_verifier(password) if password is not None else None
        with self._connected(cloud, cluster, f"user {user.name}") as (_, connection):
            settings = postgres_settings.user(user.settings, _parameters(connection))
            postgres_objects.put_user(connection, user, settings, verifier)
            others = [other for other in self._users(cloud, cluster) if other.name != user.name]
            postgres_objects.sync_permissions(connection, [*others, user])

    def delete_user(self, cloud: Cloud, cluster: Any, user: Any) -> None:
        """Remove a user; what they own in a database goes to the database's owner."""
        with self._connected(cloud, cluster, f"user {user.name}") as (host, connection):
            if not postgres_objects.user_exists(connection, user.name):
                return
            for database in postgres_objects.databases(connection):
                with host.connect(database) as inside:
                    postgres_objects.hand_over(inside, user.name)
            postgres_objects.drop_user(connection, user.name)

    # ---- databases ----
    def put_database(self, cloud: Cloud, cluster: Any, database: Any) -> None:
        with self._connected(cloud, cluster, f"database {database.name}") as (host, connection):
            postgres_objects.put_database(connection, database)
            with host.connect(database.name) as inside:
                postgres_objects.sync_extensions(inside, database)
            postgres_objects.sync_permissions(connection, self._users(cloud, cluster))

    def delete_database(self, cloud: Cloud, cluster: Any, database: Any) -> None:
        with self._connected(cloud, cluster, f"database {database.name}") as (_, connection):
            postgres_objects.drop_database(connection, database.name)

    # ---- finding things ----
    def _records(self, cloud: Cloud, cluster: Any) -> list[Any]:
        """The cloud's records of the cluster's hosts, the leader first."""
        records = [host for host in cloud.all(HOST) if host.cluster_id == cluster.id]
        return sorted(records, key=lambda record: record.role != record.MASTER)

    def _leader(self, cloud: Cloud, cluster: Any) -> Host:
        return self._server(cluster, self._records(cloud, cluster)[0])

    def _server(self, cluster: Any, record: Any) -> Host:
        folder = self._folder / cluster.id
        for each in (self._place.folder, self._folder, folder):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Host(self._place, record.name, folder / host_id(record.name))

    def _users(self, cloud: Cloud, cluster: Any) -> list[Any]:
        return [user for user in cloud.all(USER) if user.cluster_id == cluster.id]

    @contextmanager
    def _connected(self, cloud: Cloud, cluster: Any, what: str) -> Iterator[tuple[Host, psycopg.Connection]]:
        """The cluster's server and a superuser's connection, for one caller at a time; refusals become WorldErrors."""
        with self._locks[cluster.id]:
            host = self._leader(cloud, cluster)
            with _explained(f"cluster {cluster.name}: {what}"), host.connect() as connection:
                yield host, connection


def _names(cluster: Any, host: Any, hosts: list[Any]) -> list[str]:
    """A host's own name, and the cluster's name for the leader or for who follows it; who is alone is both."""
    _, write, read = _certified(cluster, host)
    leads = host.name == hosts[0].name
    return [host.name, *([write] if leads else []), *([read] if not leads or len(hosts) == 1 else [])]


def _certified(cluster: Any, host: Any) -> list[str]:
    """Every name that a host may come to answer to."""
    return [host.name, *(f"c-{cluster.id}.{kind}.mdb.yandexcloud.net" for kind in ("rw", "ro"))]


def _config(cluster: Any) -> Any:
    """What the cluster's owner has set."""
    return getattr(cluster.config, f"postgresql_config_{cluster.config.version}").user_config


def _parameters(connection: psycopg.Connection) -> dict[str, postgres_settings.Parameter]:
    """The settings that the server has, by name in lower case."""
    for library in postgres_settings.LOADED_TO_ASK:
        connection.execute(SQL("LOAD {}").format(Literal(library)))
    rows = connection.execute("SELECT name, coalesce(unit, ''), coalesce(enumvals, '{}') FROM pg_settings")
    return {name.lower(): postgres_settings.Parameter(name, unit, tuple(choices)) for name, unit, choices in rows}


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = ": ".join(filter(None, (error.diag.message_primary, error.diag.message_detail))) or str(error)
        raise WorldError(f"{what}: PostgreSQL says: {said}") from None
