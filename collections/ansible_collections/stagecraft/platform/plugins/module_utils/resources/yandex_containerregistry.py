"""Container Registry: registries, the repositories in them, and what happens to their images."""

from __future__ import annotations

from typing import Any

from ..access import ACCESS, Shared
from ..descriptors import methods, new
from ..yandex import Field, Ref, Resource, Yandex

IMAGES = "containerregistry.v1.ImageService"
WITH_IMAGES = Field(
    "with_images",
    "Whether O(state=absent) deletes the images in it too; one that has some is not deleted otherwise.",
    virtual=True,
    default=False,
)
SOURCES = {"pull_from": "PULL", "push_from": "PUSH"}  # option -> the API's action


class Holding(Shared):
    """What holds images: with some in it, it is deleted only when told to."""

    def __init__(self, session: Any, resource: Any, params: dict) -> None:
        super().__init__(session, resource, params)
        self.with_images = bool(params.get("with_images"))

    def examine(self, wanted: dict, have: dict) -> None:
        super().examine(wanted, have)
        have["with_images"] = wanted.get("with_images")  # says how it is deleted, and nothing about what is there


class Registries(Holding):
    """From where it is reached is a list of its own, set as a whole."""

    def examine(self, wanted: dict, have: dict) -> None:
        super().examine(wanted, have)
        if SOURCES.keys() & wanted.keys():
            have |= self.sources()

    def sources(self) -> dict[str, list[str]]:
        """The addresses that may pull and push now."""
        found: dict[str, list[str]] = {option: [] for option in SOURCES}
        for row in self.call("ListIpPermission", self.request("ListIpPermission")).permissions:
            action = row.DESCRIPTOR.fields_by_name["action"].enum_type.values_by_number[row.action].name
            found[next(option for option, api in SOURCES.items() if api == action)].append(row.ip)
        return found

    def closer(self, have: dict) -> dict[str, Any]:
        return super().closer(have) | self.sources()

    def create(self, wanted: dict) -> None:
        super().create(wanted)
        self.let_in(wanted)

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        if SOURCES.keys() & set(changed):
            self.let_in(wanted)
        super().update(wanted, [n for n in changed if n not in SOURCES], stop)

    def let_in(self, wanted: dict) -> None:
        """Set the whole list; what is not declared of it stays."""
        if not SOURCES.keys() & wanted.keys():
            return
        request = self.request("SetIpPermission")
        for option, networks in (self.sources() | {n: wanted[n] for n in SOURCES if n in wanted}).items():
            for network in networks:
                request.ip_permission.add(action=SOURCES[option], ip=network)
        self.call("SetIpPermission", request)

    def delete(self) -> None:
        method = "ForceDelete" if self.with_images else "Delete"
        self.call(method, self.request(method))
        self.id, self.raw = "", None


class Repositories(Holding):
    """The API calls a repository `<id of the registry>/<name>`."""

    def full_name(self) -> str:
        return f"{self.keys['registry']}/{self.keys['name']}"

    def find(self) -> dict | None:
        self.raw = self.call("GetByName", self.request("GetByName", repository_name=self.full_name()))
        self.id = self.raw.id if self.raw is not None else ""
        return None if self.raw is None else self.have()

    def names(self) -> list[str]:
        return [name.partition("/")[2] for name in super().names()]

    def keys_of(self, row: Any) -> dict[str, str]:
        return self.keys | {"name": row.name.partition("/")[2]}

    def adopt(self, row: Any) -> dict:
        self.raw, self.id = row, row.id
        return self.have()

    def make(self, wanted: dict) -> Any:
        return self.call("Upsert", self.request("Upsert", name=self.full_name()))

    def delete(self) -> None:
        for image in self.session.pages(IMAGES, repository_name=self.full_name()) if self.with_images else ():
            self.session.call(IMAGES, "Delete", new(methods(IMAGES)["Delete"].input_type, image_id=image.id))
        super().delete()

    def renameable(self) -> bool:
        return False


class ScanPolicies(Yandex):
    """A registry has one, whatever its name."""

    def find(self) -> dict | None:
        self.raw = self.call("GetByRegistry", self.request("GetByRegistry"))
        self.id = self.raw.id if self.raw is not None else ""
        return None if self.raw is None else self.have()

    def renameable(self) -> bool:
        return False


REGISTRY = Resource(
    "containerregistry.v1.Registry",
    backend=Registries,
    note="Its images are called C(cr.yandex/<id of the registry>/<repository>).",
    fields=(
        ACCESS,
        Field(
            "pull_from",
            "Networks from which images may be pulled; any when empty.",
            virtual=True,
            many=True,
            form="network",
        ),
        Field(
            "push_from",
            "Networks from which images may be pushed; any when empty.",
            virtual=True,
            many=True,
            form="network",
        ),
        WITH_IMAGES,
    ),
    example="""
name: stage
access:
  - {role: container-registry.images.puller, service_account: api}
""",
)

REPOSITORY = Resource(
    "containerregistry.v1.Repository",
    backend=Repositories,
    message="containerregistry.v1.Repository",
    note="The first push makes one too; declare it to give roles on it, or a lifecycle policy.",
    parent=Ref("registry", REGISTRY, key=True),
    fields=(
        Field("name", "Name of the repository in its registry; it may have slashes.", key=True),
        ACCESS,
        WITH_IMAGES,
    ),
    example="""
registry: stage
name: inference-api
access:
  - {role: container-registry.images.pusher, service_account: ci}
""",
)

LIFECYCLE_POLICY = Resource(
    "containerregistry.v1.LifecyclePolicy",
    parent=Ref("registry", REGISTRY, key=True),
    fields=(
        Ref("repository", REPOSITORY, "Name of the repository whose images it deletes.", key=True),
        Field("status", default="active"),
        Field(
            "rules",
            "Which images are deleted; an image goes when every rule that is about its tags says so.",
            fields=(
                Field("description"),
                Field("tag_regexp", "Images with a tag that matches this, as a whole."),
                Field("untagged", "Images without a tag."),
                Field("expire_period", "Once they are so old, at least a day.", unit="duration"),
                Field("retained_top", "So many of the newest of them stay."),
            ),
        ),
    ),
    example="""
registry: stage
repository: inference-api
name: old-images
rules:
  - {untagged: true, expire_period: 48h}
  - {tag_regexp: "main-.*", retained_top: 10, expire_period: 30d}
""",
)

SCAN_POLICY = Resource(
    "containerregistry.v1.ScanPolicy",
    backend=ScanPolicies,
    parent=Ref("registry", REGISTRY, "Name of the registry, which has one policy.", key=True),
    fields=(
        Field("name"),
        Field(
            "push",
            "Scan an image for known vulnerabilities when it is pushed.",
            "rules.push_rule",
            fields=(
                Field("repositories", "Prefixes of names; C(*) is all.", "repository_prefixes", required=True),
                Field("disabled"),
            ),
        ),
        Field(
            "schedule",
            "Scan images again and again.",
            "rules.schedule_rules",
            fields=(
                Field("repositories", "Prefixes of names; C(*) is all.", "repository_prefixes", required=True),
                Field("period", "How often.", "rescan_period", unit="duration", required=True),
                Field("disabled"),
            ),
        ),
    ),
    example="""
registry: stage
name: scans
push: {repositories: ["*"]}
schedule:
  - {repositories: ["*"], period: 7d}
""",
)
