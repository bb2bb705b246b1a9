"""The world behind a rehearsed cloud, made of this Linux machine: namespaces, containers, real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rehearsal.places import Place
from rehearsal.world import World, topology
from rehearsal.world.databases import Databases
from rehearsal.world.machines import Machines
from rehearsal.world.network import Network
from rehearsal.world.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from rehearsal.cloud.core import Cloud


class LinuxWorld(World):
    """Ties the parts together; each does one thing and knows nothing of the others:

    Network(place)             namespaces, bridges, routes, NAT, security groups, DNS
    Machines(place)            containers for instances
    Databases(place, network)  managed PostgreSQL; `endpoints(cloud) -> list[topology.Endpoint]` says where its hosts
                               are, their names and security groups; `resume(cloud)` brings them back
    Storage(place)             buckets and access keys in the S3 server"""

    def __init__(self, place: Place) -> None:
        self.network = Network(place)
        self.machines = Machines(place)
        self.databases = Databases(place, self.network)
        self.storage = Storage(place)

    def resume(self, cloud: Cloud) -> None:
        self.sync_network(cloud)
        self.machines.resume(cloud)
        self.databases.resume(cloud)

    def sync_network(self, cloud: Cloud) -> None:
        self.network.sync(topology.read(cloud, self.databases.endpoints(cloud)))

    def start_instance(self, cloud: Cloud, instance: Any) -> None:
        self.sync_network(cloud)
        self.machines.start(cloud, instance)

    def stop_instance(self, cloud: Cloud, instance: Any) -> None:
        self.machines.stop(instance)

    def delete_instance(self, cloud: Cloud, instance: Any) -> None:
        self.machines.delete(instance)
        self.network.detach(instance.id)

    def serial_output(self, cloud: Cloud, instance: Any) -> str:
        return self.machines.serial_output(instance)

    def put_cluster(self, cloud: Cloud, cluster: Any) -> None:
        self.databases.put_cluster(cloud, cluster)
        self.sync_network(cloud)

    def delete_cluster(self, cloud: Cloud, cluster: Any) -> None:
        self.databases.delete_cluster(cloud, cluster)

    def put_user(self, cloud: Cloud, cluster: Any, user: Any, password: str | None) -> None:
        self.databases.put_user(cloud, cluster, user, password)

    def delete_user(self, cloud: Cloud, cluster: Any, user: Any) -> None:
        self.databases.delete_user(cloud, cluster, user)

    def put_database(self, cloud: Cloud, cluster: Any, database: Any) -> None:
        self.databases.put_database(cloud, cluster, database)

    def delete_database(self, cloud: Cloud, cluster: Any, database: Any) -> None:
        self.databases.delete_database(cloud, cluster, database)

    def put_bucket(self, cloud: Cloud, bucket: Any) -> None:
        self.storage.put_bucket(cloud, bucket)

    def bucket_is_empty(self, cloud: Cloud, bucket: Any) -> bool:
        return self.storage.bucket_is_empty(cloud, bucket)

    def delete_bucket(self, cloud: Cloud, bucket: Any) -> None:
        self.storage.delete_bucket(cloud, bucket)

    def put_access_key(self, cloud: Cloud, key: Any, secret: str) -> None:
        self.storage.put_access_key(cloud, key, secret)

    def delete_access_key(self, cloud: Cloud, key: Any) -> None:
        self.storage.delete_access_key(cloud, key)


def create(folder: Path) -> LinuxWorld:
    """What `rehearsal.cloud --world rehearsal.world.linux:create` calls; `folder` is the rehearsal's state folder."""
    return LinuxWorld(Place(folder.resolve().parent.name))
