"""The world behind a rehearsed cloud, made of this Linux machine: namespaces, containers, real servers."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from rehearsal import processes
from rehearsal.places import Place
from rehearsal.serverless import instances
from rehearsal.world import StoredImage, WorldError, names, registry, topology
from rehearsal.world.buckets import BucketsWorld
from rehearsal.world.databases import Databases
from rehearsal.world.machines import Machines
from rehearsal.world.metadata import Metadata
from rehearsal.world.network import Network
from rehearsal.world.serverless import Serverless

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud


class LinuxWorld(BucketsWorld):
    """Ties the parts together; each does one thing and knows nothing of the others:

    Network(place)             namespaces, bridges, routes, NAT, security groups, DNS
    Machines(place)            containers for instances
    Metadata(network)          the service that gives machines their tokens
    Databases(place, network)  managed PostgreSQL; `endpoints(cloud) -> list[topology.Endpoint]` says where its hosts
                               are, their names and security groups; `resume(cloud)` brings them back
    Storage(place)             buckets and access keys in the S3 server, as the world without machines has it
    Serverless(place)          serverless containers and API gateways, behind their front
    registry.Server(place)     images"""

    def __init__(self, place: Place) -> None:
        super().__init__(place, machines=True)
        self._syncing = threading.Lock()
        self._place = place
        self.network = Network(place)
        self.machines = Machines(place)
        self.metadata = Metadata(self.network)
        self.databases = Databases(place, self.network)
        self.registry = registry.Server(place)
        self.serverless = Serverless(place)

    def resume(self, cloud: Cloud) -> None:
        self.sync_network(cloud)
        for instance in cloud.all("compute.v1.Instance"):
            if instance.status == instance.RUNNING:
                self._start(cloud, instance)
        self.databases.resume(cloud)

    def sync_network(self, cloud: Cloud) -> None:
        with self._syncing:  # many operations end at once: whoever comes last has read what all of them did
            wanted = topology.read(cloud, self.databases.endpoints(cloud))
            self.network.sync(wanted)
            self.metadata.sync(cloud, wanted.networks)
            names.write(self._place, names.snapshot(self._place, wanted, topology.zones(cloud)))

    def start_instance(self, cloud: Cloud, instance: Any) -> None:
        self.sync_network(cloud)
        self._start(cloud, instance)

    def _start(self, cloud: Cloud, instance: Any) -> None:
        endpoint = topology.instance_endpoint(instance)
        self.network.join(endpoint)
        self.machines.start(instance, self.network.subnet(endpoint), _family(cloud, instance))

    def stop_instance(self, cloud: Cloud, instance: Any) -> None:
        self.machines.stop(instance.id)

    def delete_instance(self, cloud: Cloud, instance: Any) -> None:
        self.machines.delete(instance.id)
        self.network.detach(instance.id)

    def serial_output(self, cloud: Cloud, instance: Any) -> str:
        return self.machines.serial_output(instance.id)

    def put_cluster(self, cloud: Cloud, cluster: Any) -> None:
        self.databases.put_cluster(cloud, cluster)
        self.sync_network(cloud)

    def stop_cluster(self, cloud: Cloud, cluster: Any) -> None:
        self.databases.stop_cluster(cloud, cluster)

    def delete_cluster(self, cloud: Cloud, cluster: Any) -> None:
        self.databases.delete_cluster(cloud, cluster)

    def lead(self, cloud: Cloud, cluster: Any, host: Any) -> None:
        self.databases.lead(cloud, cluster, host)

    def back_up(self, cloud: Cloud, cluster: Any, backup: Any) -> None:
        self.databases.back_up(cloud, cluster, backup)

    def delete_backup(self, cloud: Cloud, backup: Any) -> None:
        self.databases.delete_backup(backup)

    def restore_cluster(self, cloud: Cloud, cluster: Any, backup: Any, *, live: bool) -> None:
        self.databases.restore_cluster(cloud, cluster, backup, live=live)

    def put_user(self, cloud: Cloud, cluster: Any, user: Any, password: str | None) -> None:
        self.databases.put_user(cloud, cluster, user, password)

    def delete_user(self, cloud: Cloud, cluster: Any, user: Any) -> None:
        self.databases.delete_user(cloud, cluster, user)

    def put_database(self, cloud: Cloud, cluster: Any, database: Any) -> None:
        self.databases.put_database(cloud, cluster, database)

    def delete_database(self, cloud: Cloud, cluster: Any, database: Any) -> None:
        self.databases.delete_database(cloud, cluster, database)

    def sync_access(self, cloud: Cloud) -> None:
        super().sync_access(cloud)
        self.serverless.sync(cloud)

    def put_revision(self, cloud: Cloud, container: Any, revision: Any) -> str:
        self.sync_network(cloud)  # names for its instances
        return self.serverless.put_revision(cloud, container, revision)

    def sync_serverless(self, cloud: Cloud) -> None:
        self.serverless.sync(cloud)

    def printed(self, cloud: Cloud, container: Any) -> list[tuple[str, str]]:
        return instances.entries(self._place, container.id)

    def delete_container(self, cloud: Cloud, container: Any) -> None:
        self.serverless.delete_container(cloud, container)

    def put_gateway(self, cloud: Cloud, gateway: Any) -> None:
        self.serverless.put_gateway(cloud, gateway)

    def delete_gateway(self, cloud: Cloud, gateway: Any) -> None:
        self.serverless.delete_gateway(cloud, gateway)

    def images(self, cloud: Cloud, registry: Any) -> list[StoredImage]:
        return self.registry.images(registry.id)

    def delete_image(self, cloud: Cloud, image: Any) -> None:
        self.registry.delete_image(image.name, image.digest)

    def delete_registry(self, cloud: Cloud, registry: Any) -> None:
        self.registry.delete_registry(registry.id)


def _family(cloud: Cloud, instance: Any) -> str:
    """The image family that an instance's boot disk was made from. Raises WorldError for a disk without an image."""
    disk = cloud.get("compute.v1.Disk", instance.boot_disk.disk_id)
    image = cloud.get("compute.v1.Image", disk.source_image_id) if disk else None
    if image is None:
        raise WorldError(f"instance {instance.name or instance.id}: its boot disk is not made from an image")
    return image.family


def create() -> LinuxWorld:
    """What `rehearsal.cloud --world rehearsal.world.linux:create` calls: the world of the rehearsal that this process
    belongs to."""
    return LinuxWorld(Place(os.environ[processes.MARKER]))
