"""Managed PostgreSQL behind the emulated cloud: real servers, with the product's limits.

A host is a container in a network namespace of its own. Its users are no superusers and make no roles, databases or
extensions: only the cloud's API does. One host a cluster; more is refused."""

from __future__ import annotations

import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import SQL, Literal
from yandex.cloud.mdb.postgresql.v1.cluster_pb2 import Cluster

from rehearsal.places import Place
from rehearsal.world import WorldError, postgres_objects, postgres_settings
from rehearsal.world.postgres_host import Host, host_id
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
        return Endpoint(host_id(host.name), tuple(_names(cluster, host)), (interface,))

    # ---- clusters ----
    def resume(self, cloud: Cloud) -> None:
        """Bring back the servers that should run. Data and settings are on disk."""
        for cluster in cloud.all(CLUSTER):
            if cluster.status not in (*AT_REST, Cluster.CREATING):
                self.put_cluster(cloud, cluster)

    def put_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """Make the cluster's host run with the cluster's settings."""
        with self._locks[cluster.id]:
            record, host = self._host(cloud, cluster)
            if cluster.config.version != VERSION:
                raise WorldError(f"cluster {cluster.name}: a rehearsal has PostgreSQL {VERSION} only")
            endpoint = self._endpoint(cloud, cluster, record)
            if endpoint is None:
                raise WorldError(f"cluster {cluster.name}: its host {record.name} has no address in a subnet")
            self._network.join(endpoint)
            host.start(_names(cluster, record))
            with _explained(f"cluster {cluster.name}"), host.connect() as connection:
                postgres_objects.prepare(connection)
                known = _parameters(connection)
            host.configure(postgres_settings.server(_config(cluster), known))

    def stop_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """End the server; its data stay."""
        with self._locks[cluster.id]:
            self._host(cloud, cluster)[1].stop()

    def delete_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """Remove the cluster with its data; one that does not exist is fine."""
        with self._locks[cluster.id]:
            # By folder, and by the cloud's records: either of them may be gone already.
            folder = self._folder / cluster.id
            recorded = {host_id(host.name) for host in cloud.all(HOST) if host.cluster_id == cluster.id}
            kept = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
            for ident in sorted(recorded | kept):
                Host(self._place, ident, folder / ident).delete()
                self._network.detach(ident)
            shutil.rmtree(folder, ignore_errors=True)

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
    def _host(self, cloud: Cloud, cluster: Any) -> tuple[Any, Host]:
        """The cluster's one host: the cloud's record of it, and the server. Raises WorldError for none or several."""
        records = [host for host in cloud.all(HOST) if host.cluster_id == cluster.id]
        if len(records) != 1:
            raise WorldError(f"cluster {cluster.name}: a rehearsal runs clusters of one host; it has {len(records)}")
        return records[0], self._server(cluster, records[0])

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
            _, host = self._host(cloud, cluster)
            with _explained(f"cluster {cluster.name}: {what}"), host.connect() as connection:
                yield host, connection


def _names(cluster: Any, host: Any) -> list[str]:
    """A host's own name, and the cluster's names for whichever host writes and reads."""
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
