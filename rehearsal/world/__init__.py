"""What stands behind the emulated cloud. The emulator calls a World; this one makes nothing (the demo, the tests)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud


class WorldError(Exception):
    """Something real could not be made. The operation that wanted it fails with this text."""


class StoredImage(NamedTuple):
    """An image as the registry's server holds it."""

    repository: str  # with the registry's id: `crp…/app`
    digest: str
    tags: tuple[str, ...]
    size: int  # bytes of its layers as they are stored, compressed
    created: float  # when it was pushed first, in seconds since 1970
    config: tuple[str, int]  # digest and bytes; ("", 0) of an index
    layers: tuple[tuple[str, int], ...]


class World:
    """Every method is idempotent (it is called again after a restart), blocks until its work is done, and runs in the
    thread of the operation that needs it, without the cloud's lock. Messages are the API's own, as the cloud stores them.

    A World reads what it needs from the cloud: `cloud.all("vpc.v1.Subnet")`, `cloud.get("vpc.v1.Subnet", id)` return
    copies of messages; `cloud.facts(api, id)` is a small persistent dictionary of what the API does not show (the source
    image of a disk, the private address of a database host)."""

    def resume(self, cloud: Cloud) -> None:
        """After a restart of the emulator: bring back what should be running."""

    def sync_network(self, cloud: Cloud) -> None:
        """Make namespaces, bridges, routes, address translation and firewalls what the cloud's VPC, instances and
        database hosts say. Called after every operation that touches one of them."""

    def start_instance(self, cloud: Cloud, instance: Any) -> None:
        """Create the machine if it does not exist, and start it."""

    def stop_instance(self, cloud: Cloud, instance: Any) -> None: ...

    def delete_instance(self, cloud: Cloud, instance: Any) -> None: ...

    def serial_output(self, cloud: Cloud, instance: Any) -> str:
        """What the machine has printed on its console."""
        return ""

    def put_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """Make the managed PostgreSQL cluster's hosts and settings what the cloud says."""

    def stop_cluster(self, cloud: Cloud, cluster: Any) -> None:
        """Stop its servers; their data stays. `put_cluster` starts them again."""

    def delete_cluster(self, cloud: Cloud, cluster: Any) -> None: ...

    def lead(self, cloud: Cloud, cluster: Any, host: Any) -> None:
        """Have this host of the cluster take writes from now on."""

    def back_up(self, cloud: Cloud, cluster: Any, backup: Any) -> None:
        """Keep all of the cluster's data as they are now."""

    def delete_backup(self, cloud: Cloud, backup: Any) -> None: ...

    def restore_cluster(self, cloud: Cloud, cluster: Any, backup: Any, *, live: bool) -> None:
        """Before a new cluster's first `put_cluster`: give it a backup's data; `live`, what its source has now."""

    def put_user(self, cloud: Cloud, cluster: Any, user: Any, password: str | None) -> None:
        """`password` is None where it does not change."""

    def delete_user(self, cloud: Cloud, cluster: Any, user: Any) -> None: ...

    def put_database(self, cloud: Cloud, cluster: Any, database: Any) -> None: ...

    def delete_database(self, cloud: Cloud, cluster: Any, database: Any) -> None: ...

    def put_bucket(self, cloud: Cloud, bucket: Any) -> None: ...

    def bucket_is_empty(self, cloud: Cloud, bucket: Any) -> bool:
        return True

    def delete_bucket(self, cloud: Cloud, bucket: Any) -> None: ...

    def put_revision(self, cloud: Cloud, container: Any, revision: Any) -> str:
        """Before a revision (`serverless.containers.v1.Revision`) becomes the active one: start an instance of it and wait
        until that answers on its port. Returns the digest of its image. Raises WorldError, with the last lines of what it
        said, where there is no such image or it does not start: the revision before it goes on serving."""
        return ""

    def sync_serverless(self, cloud: Cloud) -> None:
        """Containers, their active revisions, who may call them, or gateways have changed: serve that. A gateway's document
        is `cloud.facts("serverless.apigateway.v1.ApiGateway", id)["openapi"]`; `rehearsal.cloud.openapi` reads it."""

    def printed(self, cloud: Cloud, container: Any) -> list[tuple[str, str]]:
        """What the instances of a serverless container have printed: when (RFC 3339) and the line; oldest first."""
        return []

    def delete_container(self, cloud: Cloud, container: Any) -> None:
        """Take away a serverless container's instances, and its address."""

    def put_gateway(self, cloud: Cloud, gateway: Any) -> None:
        """Serve an API gateway at its domain, and at those attached to it, as its document says; or not, while stopped."""

    def delete_gateway(self, cloud: Cloud, gateway: Any) -> None: ...

    def put_access_key(self, cloud: Cloud, key: Any, secret: str) -> None:
        """A static access key (`iam.v1.awscompatibility.AccessKey`) that Object Storage must accept from now on."""

    def delete_access_key(self, cloud: Cloud, key: Any) -> None: ...

    def sync_access(self, cloud: Cloud) -> None:
        """Roles were bound or taken away: let static keys do in Object Storage what their accounts may."""

    def images(self, cloud: Cloud, registry: Any) -> list[StoredImage]:
        """What the registry's server holds of a Container Registry."""
        return []

    def delete_image(self, cloud: Cloud, image: Any) -> None:
        """Delete an image (`containerregistry.v1.Image`) with its tags."""

    def delete_registry(self, cloud: Cloud, registry: Any) -> None:
        """Delete all images of a registry."""
