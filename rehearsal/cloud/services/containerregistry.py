"""Container Registry: registries, repositories, images. What is pushed is in a real registry server behind the World."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from google.protobuf.message import Message
from yandex.cloud.containerregistry.v1 import ip_permission_pb2

from rehearsal.cloud import listing
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.descriptors import new
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import LETTERS, Call, new_id
from rehearsal.cloud.services import containerregistry_policies
from rehearsal.world import StoredImage

REGISTRY, REPOSITORY, IMAGE = (f"containerregistry.v1.{noun}" for noun in ("Registry", "Repository", "Image"))
PREFIX = "crp"


def held(cloud: Cloud, registry: Message) -> list[StoredImage]:
    """What has been pushed to a registry; its repositories are known from then on."""
    images = cloud.world.images(cloud, registry)
    known = {repository.name for repository in cloud.all(REPOSITORY)}
    for name in sorted({image.repository for image in images} - known):
        cloud.kind(REPOSITORY).keep(cloud, name)
    return images


def permitted(cloud: Cloud, registry: str) -> list[tuple[int, str]]:
    """(action, network) of everything from where a registry may be reached."""
    return [tuple(row) for row in cloud.facts(REGISTRY, registry).get("ip", ())]


class Registry(Bound, Kind):
    api = REGISTRY
    prefix = PREFIX
    required = ("folder_id",)

    def on_delete(self, call: Call, resource: Message) -> None:
        if call.method.name != "ForceDelete" and held(call.cloud, resource):
            raise refused(f"Registry {resource.name or resource.id} is not empty: delete its images first")

    def force_delete(self, call: Call, request: Message) -> Message:
        """Delete it with everything in it."""
        return self.delete(call, request)

    def work_delete(self, cloud: Cloud, registry: Message, job: Job) -> None:
        cloud.world.delete_registry(cloud, registry)

    # ---- from where it is reached ----
    def list_ip_permission(self, call: Call, request: Message) -> Message:
        registry, answer = self.find(call, request), call.answer()
        for action, network in permitted(call.cloud, registry.id):
            answer.permissions.add(action=action, ip=network)
        return answer

    def set_ip_permission(self, call: Call, request: Message) -> Message:
        return self._permit(call, request, [(row.action, row.ip) for row in request.ip_permission])

    def update_ip_permission(self, call: Call, request: Message) -> Message:
        rows = permitted(call.cloud, self.find(call, request).id)
        for delta in request.ip_permission_deltas:
            row = (delta.ip_permission.action, delta.ip_permission.ip)
            if delta.action == ip_permission_pb2.ADD:
                rows.append(row)
            else:
                rows = [other for other in rows if other != row]
        return self._permit(call, request, rows)

    def _permit(self, call: Call, request: Message, rows: list[tuple[int, str]]) -> Message:
        registry = self.find(call, request)
        if any(not network for _, network in rows):
            raise invalid("ip_permission.ip: Field is required")
        call.cloud.facts(self.api, registry.id)["ip"] = list(dict.fromkeys(rows))
        return call.operation(self, registry, "permit")


class Repository(Bound, Kind):
    """Known by `<id of the registry>/<name>`. The first push makes one, and so does Upsert."""

    api = REPOSITORY
    prefix = PREFIX
    transient = False

    def save(self, cloud: Cloud, resource: Message) -> None:
        registry = cloud.get(REGISTRY, self.scope(resource))
        cloud.store.put(
            self.api, resource.id, registry.folder_id, registry.id, resource.name, resource.SerializeToString()
        )

    def scope(self, resource: Message) -> str:
        return resource.name.partition("/")[0]

    def keep(self, cloud: Cloud, name: str) -> Message:
        """A repository of this name, made when missing. Raises ApiError."""
        registry, _, rest = name.partition("/")
        if cloud.get(REGISTRY, registry) is None:
            raise not_found("Registry", registry)
        if not rest:
            raise invalid(f"name: {name!r} must be <id of the registry>/<name>")
        if (found := self.by_name(cloud, name)) is None:
            found = new(self.api)
            found.id, found.name = new_id(self.prefix), name
            self.save(cloud, found)
        return found

    def by_name(self, cloud: Cloud, name: str) -> Message | None:
        return next((cloud.message(row) for row in cloud.store.rows("api = ? AND name = ?", self.api, name)), None)

    def upsert(self, call: Call, request: Message) -> Message:
        there = self.by_name(call.cloud, request.name)
        found = self.keep(call.cloud, request.name)
        return call.operation(self, found, "update" if there else "create", before=there)

    def get_by_name(self, call: Call, request: Message) -> Message:
        registry = call.cloud.get(REGISTRY, request.repository_name.partition("/")[0])
        if registry is not None:
            held(call.cloud, registry)
        if (found := self.by_name(call.cloud, request.repository_name)) is None:
            raise not_found("Repository", request.repository_name)
        return found

    def list(self, call: Call, request: Message) -> Message:
        for registry in asked(call.cloud, request):
            held(call.cloud, registry)
        return super().list(call, request)

    def matching(self, call: Call, request: Message, api: str) -> Iterator[tuple[int, Message]]:
        registries, keep = {r.id for r in asked(call.cloud, request)}, listing.parse(request.filter)
        for row in call.cloud.store.rows("api = ? AND seq > ?", api, listing.after(request.page_token)):
            if row.scope in registries and keep(found := call.cloud.message(row)):
                yield row.seq, found

    def places(self, call: Call) -> list[str]:
        """Roles on a registry hold in its repositories, which requests may call by name."""
        said = getattr(call.request, "repository_name", "") or getattr(call.request, "name", "")
        return places(call.cloud, said) if said else super().places(call)

    def on_delete(self, call: Call, resource: Message) -> None:
        registry = call.cloud.get(REGISTRY, self.scope(resource))
        if any(image.repository == resource.name for image in held(call.cloud, registry)):
            raise refused(f"Repository {resource.name} is not empty: delete its images first")


class Image(Kind):
    """Images are asked of the registry's server; their ids are made of repository and digest."""

    api = IMAGE
    prefix = PREFIX
    transient = False

    def every(self, cloud: Cloud, registries: list[Message]) -> list[Message]:
        return [self._image(image) for registry in registries for image in held(cloud, registry)]

    def _image(self, stored: StoredImage) -> Message:
        image = new(self.api)
        image.name, image.digest, image.compressed_size = stored.repository, stored.digest, stored.size
        image.id = image_id(stored.repository, stored.digest)
        image.tags.extend(stored.tags)
        image.created_at.FromSeconds(int(stored.created))
        if stored.config[0]:
            image.config.id = image.config.digest = stored.config[0]
            image.config.size = stored.config[1]
        for digest, size in stored.layers:
            image.layers.add(id=digest, digest=digest, size=size)
        return image

    def find(self, call: Call, request: Message) -> Message:
        for image in self.every(call.cloud, call.cloud.all(REGISTRY)):
            if image.id == request.image_id:
                return image
        raise not_found("Image", request.image_id)

    def list(self, call: Call, request: Message) -> Message:
        call.cloud.check_references(request)
        answer, keep = call.answer(), listing.parse(request.filter)
        found = [
            image
            for image in self.every(call.cloud, asked(call.cloud, request))
            if keep(image) and request.repository_name in ("", image.name)
        ]
        page, answer.next_page_token = listing.page(list(enumerate(found, 1)), request.page_size, request.page_token)
        answer.images.extend(page)
        return answer

    def places(self, call: Call) -> list[str]:
        named = getattr(call.request, "repository_name", "")
        if ident := getattr(call.request, "image_id", ""):
            images = self.every(call.cloud, call.cloud.all(REGISTRY))
            named = next((image.name for image in images if image.id == ident), "")
        return places(call.cloud, named) if named else super().places(call)

    def save(self, cloud: Cloud, resource: Message) -> None:
        """Kept only while it is being deleted."""
        registry = cloud.get(REGISTRY, resource.name.partition("/")[0])
        cloud.store.put(self.api, resource.id, registry.folder_id, registry.id, "", resource.SerializeToString())

    def work_delete(self, cloud: Cloud, image: Message, job: Job) -> None:
        cloud.world.delete_image(cloud, image)

    def undo(self, cloud: Cloud, job: Job) -> None:
        with cloud.store.transaction():
            self.drop(cloud, job.resource)


def image_id(repository: str, digest: str) -> str:
    """The id that an image has for ever."""
    number, letters = int(hashlib.sha256(f"{repository}@{digest}".encode()).hexdigest(), 16), ""
    while len(letters) < 17:
        number, rest = divmod(number, len(LETTERS))
        letters += LETTERS[rest]
    return PREFIX + letters


def asked(cloud: Cloud, request: Message) -> list[Message]:
    """The registries that a list request is about."""
    ident = request.registry_id or getattr(request, "repository_name", "").partition("/")[0]
    registries = cloud.all(REGISTRY)
    return [r for r in registries if (r.id == ident if ident else r.folder_id == request.folder_id)]


def places(cloud: Cloud, repository: str) -> list[str]:
    """Where roles hold for a repository: it, its registry, the folder, the cloud."""
    registry = cloud.get(REGISTRY, repository.partition("/")[0])
    found = cloud.kind(REPOSITORY).by_name(cloud, repository)
    folder = registry.folder_id if registry is not None else cloud.folder_id
    return [
        *([found.id] if found is not None else []),
        *([registry.id] if registry is not None else []),
        folder,
        cloud.cloud_id,
    ]


SERVICES = (Registry, Repository, Image, *containerregistry_policies.SERVICES)
HIDDEN = containerregistry_policies.HIDDEN
