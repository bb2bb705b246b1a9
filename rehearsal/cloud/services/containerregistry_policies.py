"""What happens to images: lifecycle policies and scan policies. No clock runs here, and nothing is scanned; which images a
policy would delete, a dry run says, as the product's does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import exists, invalid, not_found
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.service import Call, new_id

DAY = 86400
REGISTRY, REPOSITORY, IMAGE = (f"containerregistry.v1.{noun}" for noun in ("Registry", "Repository", "Image"))
DRY_RUN = "containerregistry.v1.DryRunLifecyclePolicyResult"


def doomed(rules: Iterable[Message], images: Sequence[Message], now: float) -> list[Message]:
    """The images of a repository that a policy deletes: those that every rule whose filter they fit wants deleted.
    `now` is in seconds since 1970. https://yandex.cloud/en/docs/container-registry/concepts/lifecycle-policy#resolve"""
    wanted: dict[str, set[bool]] = {image.id: set() for image in images}
    for rule in rules:
        fitting = [image for image in images if _fits(rule, image)]
        fitting.sort(key=lambda image: -image.created_at.seconds)
        for number, image in enumerate(fitting):
            old = now - image.created_at.seconds >= rule.expire_period.seconds
            wanted[image.id].add(number >= rule.retained_top and old)
    return [image for image in images if wanted[image.id] == {True}]


def _fits(rule: Message, image: Message) -> bool:
    if not image.tags:
        return rule.untagged
    return bool(rule.tag_regexp) and any(re.fullmatch(rule.tag_regexp, tag) for tag in image.tags)


class LifecyclePolicy(Kind):
    api = "containerregistry.v1.LifecyclePolicy"
    prefix = "crp"
    parent = REPOSITORY
    transient = False

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        resource.status = request.status  # it begins as it is told to, not as "creating"
        self._check(call.cloud, resource)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        self._check(call.cloud, resource)

    def _check(self, cloud: Cloud, policy: Message) -> None:
        """Each rule says which images, and one policy of a repository is active."""
        for number, rule in enumerate(policy.rules):
            at = f"rules[{number}]"
            if rule.HasField("expire_period") and rule.expire_period.seconds < DAY:
                raise invalid(f"{at}.expire_period: Value must be in >=24h")
            if not rule.HasField("expire_period") and not rule.retained_top:
                raise invalid(f"{at}: one of expire_period, retained_top is required")
            try:
                re.compile(rule.tag_regexp)
            except re.error as error:
                raise invalid(f"{at}.tag_regexp: {rule.tag_regexp!r} is no regular expression: {error}") from None
        active = [p for p in cloud.all(self.api) if p.repository_id == policy.repository_id and p.status == p.ACTIVE]
        if policy.status == policy.ACTIVE and any(p.id != policy.id for p in active):
            raise exists(
                f"Repository {policy.repository_id} has an active policy already: {active[0].name or active[0].id}"
            )

    def dry_run(self, call: Call, request: Message) -> Message:
        """Say which images it would delete now, and delete none."""
        return call.cloud.kind(DRY_RUN).start(call, self.find(call, request))

    def get_dry_run_result(self, call: Call, request: Message) -> Message:
        return call.cloud.kind(DRY_RUN).find(call, request)

    def list_dry_run_results(self, call: Call, request: Message) -> Message:
        return call.cloud.kind(DRY_RUN).list(call, request)

    def list_dry_run_result_affected_images(self, call: Call, request: Message) -> Message:
        result, answer, keep = self.get_dry_run_result(call, request), call.answer(), listing.parse(request.filter)
        facts = call.cloud.facts(DRY_RUN, result.dry_run_lifecycle_policy_result_id)
        found = [image for image in self._images(call.cloud, result.lifecycle_policy_id) if image.id in facts["images"]]
        page = listing.page(list(enumerate(filter(keep, found), 1)), request.page_size, request.page_token)
        images, answer.next_page_token = page
        answer.affected_images.extend(images)
        return answer

    def doomed(self, cloud: Cloud, policy: Message) -> list[Message]:
        """The images that a policy would delete now."""
        return doomed(policy.rules, self._images(cloud, policy.id), time.time())

    def _images(self, cloud: Cloud, policy: str) -> list[Message]:
        """Every image of the repository that a policy is for."""
        repository = cloud.get(REPOSITORY, cloud.get(self.api, policy).repository_id)
        registry = cloud.get(REGISTRY, repository.name.partition("/")[0])
        return [image for image in cloud.kind(IMAGE).every(cloud, [registry]) if image.name == repository.name]

    def reached(self, job: object) -> tuple[str, ...]:
        """Its status is what it was told to be."""
        return ()

    def matching(self, call: Call, request: Message, api: str) -> Iterator[tuple[int, Message]]:
        """Of a repository, or of all repositories of a registry."""
        registry = request.registry_id if request.WhichOneof("id") == "registry_id" else ""
        request = type(request).FromString(request.SerializeToString())
        request.ClearField("registry_id")
        for number, policy in super().matching(call, request, api):
            if not registry or call.cloud.store.row(REPOSITORY, policy.repository_id).scope == registry:
                yield number, policy


class DryRun(Kind):
    """What a policy would have deleted at a moment; its service says it."""

    api = DRY_RUN
    prefix = "crp"
    parent = LifecyclePolicy.api
    parent_field = "lifecycle_policy_id"
    transient = False

    def __init__(self) -> None:
        self.name, self.title, self.noun = "", "DryRunResult", "dry_run_lifecycle_policy_result"

    def key(self, resource: Message) -> str:
        return resource.dry_run_lifecycle_policy_result_id

    def start(self, call: Call, policy: Message) -> Message:
        """Begin a dry run of a policy, and keep what comes of it."""
        images = call.cloud.kind(self.parent).doomed(call.cloud, policy)
        fixed = {"dry_run_lifecycle_policy_result_id": new_id(self.prefix), "lifecycle_policy_id": policy.id}
        made = self.make(call, call.request, **fixed, affected_images_count=len(images))
        call.cloud.facts(self.api, self.key(made))["images"] = [image.id for image in images]
        return call.operation(self, made, "run", answer=made)

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        resource.run_at.GetCurrentTime()


class ScanPolicy(Kind):
    """A registry has one."""

    api = "containerregistry.v1.ScanPolicy"
    prefix = "crp"
    parent = "containerregistry.v1.Registry"
    transient = False

    def of(self, cloud: Cloud, registry: str) -> Message | None:
        return next((policy for policy in cloud.all(self.api) if policy.registry_id == registry), None)

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        if self.of(call.cloud, resource.registry_id) is not None:
            raise exists(f"Registry {resource.registry_id} has a scan policy already")

    def get_by_registry(self, call: Call, request: Message) -> Message:
        if (found := self.of(call.cloud, request.registry_id)) is None:
            raise not_found("ScanPolicy", f"of registry {request.registry_id}")
        return found


SERVICES = (LifecyclePolicy, ScanPolicy)
HIDDEN = (DryRun,)  # a kind without a service of its own
