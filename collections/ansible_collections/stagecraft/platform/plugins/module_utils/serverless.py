"""Serverless containers: a container and the revision of it that serves, in one declaration."""

from __future__ import annotations

import copy
from typing import Any

from google.protobuf import json_format

from . import serverless_limits
from .access import ACCESS, Shared, whom
from .declaration import Bound, Fail, Unknown
from .descriptors import methods, new
from .protobuf import bind, get, put, tidy
from .session import SECRETS, pauses
from .yandex import SECRET

NEEDED = ("image", "memory")
LOGS = "logging.v1.LogReadingService"
NEAREST, WIDER, FURTHEST = (
    2.0,
    8,
    86400,
)  # seconds before the end that are looked at first, how much wider then, and at most
LAST_LINES, LOG_PAGE = 15, 1000


class Containers(Shared):
    """A revision never changes: where it differs from what is declared, another one is deployed, with what is not
    declared as it was. `revision` is the one that serves, None where none ever did."""

    def __init__(self, session: Any, resource: Any, params: dict) -> None:
        self.template = {f.name for f in resource.template}
        self.revision: Any = None
        super().__init__(session, resource, params)

    def bind(self, params: dict) -> dict[str, Bound]:
        write, read = self.methods["DeployRevision"].input_type, self.methods["GetRevision"].output_type
        return super().bind(params) | {f.name: bind(f, write, write, read) for f in self.resource.template}

    def wrong(self, params: dict) -> list[str]:
        return serverless_limits.wrong(params)

    # ---- find ----
    def look(self, row: Any = None) -> dict | None:
        self.revision = None
        if super().look(row) is None:
            return None
        self.revision = next((r for r in self.revisions() if r.status == r.ACTIVE), None)
        return self.have()

    def have(self) -> dict[str, Any]:
        found = {}
        for n, b in self.bound.items():
            source = self.revision if n in self.template else self.raw
            if b.where.get("read"):
                found[n] = None if source is None else get(source, b.where["read"], b)
        return found

    def revisions(self) -> list[Any]:
        """All of them, the newest first, once none is being deployed any more."""
        for _ in pauses(self.session.timeout):
            rows = list(self.session.pages(self.service, "ListRevisions", container_id=self.id))
            if not any(r.status == r.CREATING for r in rows):
                return sorted(rows, key=lambda r: -r.created_at.ToNanoseconds())
        raise Fail(
            f"a revision is still being deployed after {self.session.timeout:.0f} s; run the same again to wait on"
        )

    def examine(self, wanted: dict, have: dict) -> None:
        missing = [n for n in NEEDED if n not in wanted]
        if self.revision is None and self.template & wanted.keys() and missing:
            raise Fail(f"it has no revision yet; to deploy one set: {', '.join(missing)}")
        super().examine(wanted, have)
        self.pin(wanted)

    def pin(self, wanted: dict) -> None:
        """Secrets without a version are of the one that is current now, so that another one brings a new revision."""
        for secret in wanted.get("secrets") or ():
            if "version" in secret or isinstance(secret["secret"], Unknown):
                continue
            request = new(methods(SECRETS)["Get"].input_type, secret_id=secret["secret"])
            current = self.session.call(SECRETS, "Get", request).current_version
            if secret["key"] not in current.payload_entry_keys:
                there = ", ".join(current.payload_entry_keys) or "none"
                raise Fail(f"secrets: {secret['variable']}: the secret has no entry {secret['key']} (it has: {there})")
            secret["version"] = current.id

    # ---- change ----
    def create(self, wanted: dict) -> None:
        """Who may call it comes last: nobody calls what does not serve yet."""
        whom(wanted)
        self.pin(wanted)
        super().create({n: v for n, v in wanted.items() if n not in self.template and n != ACCESS.name})
        self.deploy({n: v for n, v in wanted.items() if n in self.template})
        self.grant(wanted)

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        """Whoever may not call it any more is out before the new revision serves, and whoever may comes after that."""
        template = {n: wanted[n] for n in changed if n in self.template}
        rest = [n for n in changed if n not in template]
        in_two_steps = bool(template) and ACCESS.name in rest
        if in_two_steps:
            whom(wanted)
            self.grant({ACCESS.name: [row for row in self.granted() if row in wanted[ACCESS.name]]})
            rest.remove(ACCESS.name)
        if rest:
            super().update(wanted, rest, stop)
        if template:
            self.deploy(template)
        if in_two_steps:
            self.grant(wanted)

    def deploy(self, values: dict) -> None:
        """Another revision: the one that serves, with these values. It serves when this returns."""
        request = self.request("DeployRevision")
        if self.revision is not None:
            said = json_format.MessageToDict(self.revision, preserving_proto_field_name=True)
            said["image_spec"] = said.pop("image", {})
            json_format.ParseDict(said, request, ignore_unknown_fields=True)
        for n, v in values.items():
            replace(request, self.bound[n], v)
        answer = self.call("DeployRevision", request)
        self.revision = new(self.methods["GetRevision"].output_type)
        answer.response.Unpack(self.revision)

    # ---- going back ----
    def earlier(self, revision: str = "") -> Any:
        """The revision to go back to: the one that is named, or the newest of those from before the one that serves.
        Raises Fail where there is none."""
        rows = [r for r in self.revisions() if r.status in (r.OBSOLETE, r.ACTIVE)]
        if revision:
            found = next((r for r in rows if r.id == revision), None)
            there = ", ".join(r.id for r in rows) or "none"
            why = f"it has no revision {revision} that ever served (there are: {there})"
        else:
            serving = self.revision.created_at.ToNanoseconds() if self.revision is not None else 0
            found = next((r for r in rows if r.created_at.ToNanoseconds() < serving), None)
            why = "there is no revision from before the one that serves"
        if found is None:
            raise Fail(f"{why}: nothing was changed")
        return found

    def refuse_outdated(self, revision: Any, rotated: list[str]) -> None:
        """Raises Fail where a revision is from before a rotation: it has other values of the `rotated` variables than the
        one that serves, or other versions of secrets."""
        serving = self.revision or type(revision)()
        then, now = revision.image.environment, serving.image.environment
        old = [f"another {name}" for name in rotated if then.get(name) != now.get(name)]
        versions = {secret.id: secret.version_id for secret in serving.secrets}
        for ident, version in {(s.id, s.version_id) for s in revision.secrets}:
            if version != (versions.get(ident) or self.session.secret_version(ident)):
                old.append(f"another version of the secret {self.session.at(SECRET, {}).name_of(ident) or ident}")
        if old:
            raise Fail(
                f"revision {revision.id} is from before a rotation: it has {' and '.join(sorted(old))}. Going back to it "
                "would let old keys in again and refuse new ones: nothing was changed. To run what it ran with today's "
                "keys, deploy the commit that it came from; to go back all the same, say revive: true (-e revive_keys=true)"
            )

    def roll_back(self, revision: Any) -> None:
        self.call("Rollback", self.request("Rollback", revision_id=revision.id))
        self.revision = revision

    def serving(self, revision: Any = None) -> dict[str, Any]:
        """What tells a revision from others: this one, or the one that serves."""
        revision = revision or self.revision
        return {} if revision is None else {n: v for n, v in summary(revision).items() if n != "status"}

    # ---- for an export ----
    def closer(self, have: dict) -> dict[str, Any]:
        """Secrets of the current version are written without one, so that they stay current."""
        secrets = [dict(secret) for secret in have["secrets"] or ()]
        for secret in secrets:
            if secret["version"] == self.session.secret_version(secret["secret"]):
                del secret["version"]
        return super().closer(have) | {"secrets": secrets}

    def shown(self) -> list[tuple[Any, list[Any], set[str]]]:
        found = [(message, requests, options - self.template) for message, requests, options in super().shown()]
        if self.revision is not None:
            found.append((self.revision, [self.methods["DeployRevision"].input_type], self.template))
        return found

    def last_lines(self, revision: Any, until: float) -> list[str]:
        """The end of what it has printed into its log group while a revision served, up to a moment (seconds since 1970);
        why it cannot be read, where that is so. Nothing is tried again: whoever asks has more urgent things to do."""
        options = revision.log_options if revision is not None else None
        if options is None or options.disabled or not options.log_group_id:
            return []
        session = copy.copy(self.session)
        session.patience = 0
        earliest, span, found = max(revision.created_at.ToSeconds(), until - FURTHEST), NEAREST, []
        while True:  # a page is the first entries of its time, and the last ones are wanted
            since = max(earliest, until - span)
            criteria = {"log_group_id": options.log_group_id, "resource_ids": [self.id], "page_size": LOG_PAGE}
            request = new(methods(LOGS)["Read"].input_type, criteria=criteria)
            request.criteria.since.FromNanoseconds(int(since * 1e9))
            request.criteria.until.FromNanoseconds(int(until * 1e9))
            try:
                rows = list(session.call(LOGS, "Read", request).entries)
            except Fail as error:
                return [f"(they cannot be read: {error})"]
            if len(rows) < LOG_PAGE or not found:
                found = rows[-LAST_LINES:]
            if len(rows) == LOG_PAGE or len(found) == LAST_LINES or since == earliest:
                break
            span *= WIDER
        return [row.message or json_format.MessageToJson(row.json_payload, indent=None) for row in found]

    # ---- shown ----
    def returned(self) -> dict[str, Any]:
        found = super().returned()
        if self.revision is not None:
            found |= {"revision_id": self.revision.id, "image_digest": self.revision.image.image_digest}
        return found

    def details(self) -> dict[str, Any]:
        return {"revisions": [summary(r) for r in self.revisions()]}


def summary(revision: Any) -> dict[str, Any]:
    """What tells revisions apart."""
    said = tidy(revision)
    image = {n: v for n, v in said.get("image", {}).items() if n in ("image_url", "image_digest")}
    return {n: said[n] for n in ("id", "created_at", "status") if n in said} | image


def replace(message: Any, bound: Bound, value: Any) -> None:
    """Set a value in a message that has one: in a message of its own unset is left alone, and empty is cleared."""
    *way, f = bound.where["write"]
    node = message
    for step in way:
        node = getattr(node, step.name)
    if value and bound.children and not bound.many:
        for n, v in value.items():
            replace(getattr(node, f.name), bound.children[n], v)
        return
    node.ClearField(f.name)
    if value or not bound.children:
        put(message, bound, value, "write")
