"""Serverless containers and API gateways: what the cloud says of them, handed to the front that serves them."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml
from yandex.cloud.serverless.containers.v1 import container_pb2

from rehearsal import files
from rehearsal.cloud import openapi, roles
from rehearsal.cloud.core import ZONES
from rehearsal.cloud.errors import ApiError
from rehearsal.cloud.services import certificatemanager, lockbox
from rehearsal.places import GATEWAYS, REGISTRY_NAME, Place
from rehearsal.serverless import control, served
from rehearsal.world import WorldError, registry, shell, topology

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

CONTAINER, REVISION = "serverless.containers.v1.Container", "serverless.containers.v1.Revision"
GATEWAY = "serverless.apigateway.v1.ApiGateway"
DOCUMENT = "openapi"  # the fact of a gateway that holds its document, as text
METADATA_DISABLED = container_pb2.MetadataOption.DISABLED
IMAGES = f"{REGISTRY_NAME}/"  # how the names of images in Container Registry begin
ZONE_INSTANCES = 10  # where a revision sets no limit: the quota that a cloud begins with
START_PATIENCE = 120  # seconds that the front may take to start an instance


log = logging.getLogger(__name__)


class Serverless:
    """What the cloud's API does to the front of one rehearsal."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._told: dict[str, served.Revision] = {}  # revisions that were put: they never change
        self._gone: set[str] = set()  # what is being deleted, and still in the cloud's list

    def put_revision(self, cloud: Cloud, container: Any, revision: Any) -> str:
        """Have an instance of the revision ready; it serves when the cloud says that it is the active one. Returns the
        digest of its image. Raises WorldError, with the last lines of its output, where it does not start."""
        self._gone.discard(container.id)
        made = self._told[revision.id] = self._revision(cloud, revision)
        control.ask(self._place, "prepare", patience=START_PATIENCE, revision=msgspec.to_builtins(made))
        return digest_of(self._place, revision.image.image_url)

    def sync(self, cloud: Cloud, *changed: Any) -> None:
        """Write what the front serves now; `changed` gateways are as they are given, not as the cloud has them yet."""
        with self._lock:
            active = {item.container_id: item for item in cloud.all(REVISION) if item.status == item.ACTIVE}
            containers = [item for item in cloud.all(CONTAINER) if item.id not in self._gone]
            gateways = {item.id: item for item in (*cloud.all(GATEWAY), *changed)}
            serving = [item for item in gateways.values() if item.id not in self._gone and item.status != item.STOPPED]
            domains = {domain: ident for item in serving for domain, ident in _domains(item).items()}
            files_of = {domain: self._certificate(cloud, domain, ident) for domain, ident in domains.items()}
            served.write(
                self._place,
                served.Served(
                    {item.id: self._container(cloud, item, active.get(item.id)) for item in containers},
                    {item.id: gateway_of(cloud, item) for item in serving},
                    {domain: path for domain, path in files_of.items() if path},
                ),
            )
            for file in _certificates(self._place).glob("*.pem"):
                if str(file) not in files_of.values():  # of a domain that was detached: nobody needs its key any more
                    file.unlink()

    def delete_container(self, cloud: Cloud, container: Any) -> None:
        """Serve the container no more; its instances end with their requests."""
        self._gone.add(container.id)
        self.sync(cloud)

    def put_gateway(self, cloud: Cloud, gateway: Any) -> None:
        """Serve a gateway, or not while it is stopped. Raises WorldError where a domain has no certificate yet, and where
        it wants what a rehearsal does not have."""
        for what, wanted in (
            ("variables", gateway.variables),
            ("canary releases", gateway.HasField("canary")),
            ("networks", gateway.connectivity.network_id),
        ):
            if wanted:
                raise WorldError(f"gateway {gateway.id}: a rehearsal has no {what} for API gateways")
        for domain, ident in _domains(gateway).items():
            if self._certificate(cloud, domain, ident) is None:
                raise WorldError(f"domain {domain}: its certificate {ident} is not issued yet")
        self._gone.discard(gateway.id)
        self.sync(cloud, gateway)

    def delete_gateway(self, cloud: Cloud, gateway: Any) -> None:
        self._gone.add(gateway.id)
        self.sync(cloud)

    def _container(self, cloud: Cloud, container: Any, revision: Any | None) -> served.Container:
        made = None
        if revision is not None:
            try:
                made = self._told.get(revision.id) or self._revision(cloud, revision)
            except WorldError as error:  # after a restart: what it needs is gone, and the others go on
                log.warning("%s", error)
        return served.Container(container.id, made, invokers(cloud, container))

    def _revision(self, cloud: Cloud, revision: Any) -> served.Revision:
        """A revision as the front runs it. Raises WorldError where it wants what a rehearsal does not have."""
        for what, wanted in (
            ("mounts", revision.mounts or revision.storage_mounts),
            ("the command mode", revision.HasField("runtime") and revision.runtime.HasField("task")),
        ):
            if wanted:
                raise WorldError(f"revision {revision.id}: a rehearsal has no {what} for serverless containers")
        image, disabled = revision.image, revision.metadata_options.gce_http_endpoint == METADATA_DISABLED
        facts, scaling = cloud.facts(REVISION, revision.id), revision.scaling_policy
        if "image" not in facts:  # the image that it has once, it keeps: a tag may move
            facts["image"] = image_of(self._place, cloud, revision)
        return served.Revision(
            id=revision.id,
            container=revision.container_id,
            image=facts["image"],
            memory=revision.resources.memory,
            command=tuple(image.command.command),
            args=tuple(image.args.args),
            working_dir=image.working_dir,
            environment={**image.environment, **secrets_of(cloud, revision)},
            cores=revision.resources.cores,
            core_fraction=revision.resources.core_fraction,
            concurrency=revision.concurrency,
            timeout=revision.execution_timeout.ToTimedelta().total_seconds(),
            account="" if disabled else revision.service_account_id,
            provisioned=revision.provision_policy.min_instances,
            instances=(scaling.zone_instances_limit or ZONE_INSTANCES) * len(ZONES),
            requests=scaling.zone_requests_limit * len(ZONES),
            vpc=self._vpc(cloud, revision.connectivity.network_id) if revision.connectivity.network_id else None,
        )

    def _vpc(self, cloud: Cloud, network: str) -> served.Vpc:
        """Raises WorldError for a network without a subnet: there is nothing in it to reach."""
        subnets = topology.read(cloud).subnets_of(network)
        if not subnets:
            raise WorldError(f"network {network} has no subnets: a serverless container needs one to be connected")
        ranges = tuple(str(block) for subnet in subnets for block in subnet.ranges)
        return served.Vpc(self._place.netns(f"vpc-{network}"), str(subnets[0].resolver), ranges)

    def _certificate(self, cloud: Cloud, domain: str, ident: str) -> str | None:
        """The file of a domain's certificate and its key; None while it is not issued. They are in one file, so that nobody
        finds the new one of the two beside the old one of the other."""
        chain, key = certificatemanager.content(cloud, ident)
        if not chain:
            return None
        path = _certificates(self._place) / f"{domain}.pem"
        text = "".join((*chain, key))
        if not path.exists() or path.read_text() != text:
            files.write(path, text)
        return str(path)


def _certificates(place: Place) -> Path:
    return served.folder(place) / "certificates"


def image_of(place: Place, cloud: Cloud, revision: Any) -> str:
    """The id of a revision's image in podman's store. One of Container Registry is pulled anew, as the revision's account
    or as anybody where it has none: what it may not have, it does not get. Raises WorldError.

    This is the one place that fetches images of revisions."""
    reference, account = revision.image.image_url, revision.service_account_id
    try:
        if not reference.startswith(IMAGES):
            return shell.podman("image", "inspect", "--format", "{{.Id}}", reference).strip()
        token = cloud.identity.grant(account)[0] if account else ""
        return registry.Server(place).pull(token, reference)
    except shell.CommandError as error:
        raise WorldError(f"the image {reference} cannot be fetched: {error.said}") from error


def digest_of(place: Place, reference: str) -> str:
    """The digest by which the registry knows an image of this name; empty where it is no image of Container Registry."""
    name, _, digest = reference.removeprefix(IMAGES).partition("@")
    if digest or not reference.startswith(IMAGES):
        return digest
    repository, _, tag = name.partition(":")
    held = registry.Server(place).images(repository.partition("/")[0])
    return next((i.digest for i in held if i.repository == repository and (tag or "latest") in i.tags), "")


def gateway_of(cloud: Cloud, gateway: Any) -> served.Gateway:
    """A gateway as the front serves it."""
    found = openapi.routes(yaml.safe_load(cloud.facts(GATEWAY, gateway.id)[DOCUMENT]))
    routes = tuple(served.Route(route.path, route.method, route.integration) for route in found)
    names = (f"{gateway.id}.{GATEWAYS}", *filter(None, (gateway.domain,)), *_domains(gateway))
    timeout = gateway.execution_timeout.ToTimedelta().total_seconds()
    return served.Gateway(gateway.id, tuple(dict.fromkeys(names)), routes, timeout)


def _domains(gateway: Any) -> dict[str, str]:
    """The domains that a gateway was given, with the ids of their certificates."""
    return {item.domain: item.certificate_id for item in gateway.attached_domains if item.enabled}


def invokers(cloud: Cloud, container: Any) -> tuple[str, ...]:
    """The ids of the subjects that may invoke a container, `allUsers` among them where everybody may."""
    folder = cloud.get("resourcemanager.v1.Folder", container.folder_id)
    places = (container.id, container.folder_id, folder.cloud_id if folder else cloud.cloud_id)
    bound = [binding for place in places for binding in cloud.identity.bindings(place)]
    return tuple(
        sorted({subject for role, _, subject in bound if roles.permits(role, f"{CONTAINER}Service", "invoke")})
    )


def secrets_of(cloud: Cloud, revision: Any) -> dict[str, str]:
    """The Lockbox secrets of a revision as variables, read as its account. Raises WorldError for one that the account may
    not read, and for a key that a version does not have."""
    values = {}
    for secret in revision.secrets:
        held = cloud.get(lockbox.SECRET, secret.id)
        places = (secret.id, held.folder_id if held else cloud.folder_id, cloud.cloud_id)
        try:
            cloud.identity.authorize(revision.service_account_id, lockbox.Payload.name, "payload", *places)
        except ApiError as error:
            raise WorldError(f"secret {secret.id}: {error}") from None
        entry = lockbox.payload(cloud, secret.version_id).get(secret.key, {})
        if "text" not in entry:
            raise WorldError(f"secret {secret.id}, version {secret.version_id}: it has no text entry {secret.key}")
        values[secret.environment_variable] = entry["text"]
    return values
