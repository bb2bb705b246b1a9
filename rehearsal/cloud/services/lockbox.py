"""Lockbox: secrets, their versions, and the payload, which is kept in the store and never in a message."""

from __future__ import annotations

import json
import secrets
import string

from google.protobuf.message import Message

from rehearsal.cloud import listing
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.descriptors import new
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call, Service, new_id

SECRET, VERSION = "lockbox.v1.Secret", "lockbox.v1.Version"
PASSWORD_LENGTH = 64  # where the specification says none
BIGGEST = 65536  # bytes of all entries of a version


def generate(spec: Message) -> str:
    """A password as its specification wants it: at least one character of every kind that is included."""
    punctuation = spec.included_punctuation or string.punctuation
    punctuation = "".join(sign for sign in punctuation if sign not in spec.excluded_punctuation)
    alphabets = []
    for name, letters in (
        ("uppercase", string.ascii_uppercase),
        ("lowercase", string.ascii_lowercase),
        ("digits", string.digits),
        ("punctuation", punctuation),
    ):
        wanted = f"include_{name}"
        if letters and (not spec.HasField(wanted) or getattr(spec, wanted).value):
            alphabets.append(letters)
    if not alphabets:
        raise invalid("password_payload_specification: at least one kind of characters must be included")
    length = spec.length or PASSWORD_LENGTH
    if length < len(alphabets):
        raise invalid(
            f"password_payload_specification.length: {length} is too short for {len(alphabets)} kinds of characters"
        )
    chosen = [secrets.choice(letters) for letters in alphabets]
    chosen += [secrets.choice("".join(alphabets)) for _ in range(length - len(alphabets))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _entry(change: Message) -> dict[str, str]:
    """One entry as it is kept: its text, or its bytes in hexadecimal."""
    kind = change.WhichOneof("value")
    if kind is None:
        raise invalid(f"payload entry {change.key}: one of text_value, binary_value is required")
    return {"text": change.text_value} if kind == "text_value" else {"binary": change.binary_value.hex()}


def payload(cloud: Cloud, version: str) -> dict[str, dict[str, str]]:
    """The entries of a version, by key."""
    kept = cloud.secret(VERSION, version)
    return json.loads(kept) if kept else {}


class Secret(Bound, Kind):
    api = SECRET
    prefix = "e6q"
    transient = False

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        """The first version comes with the secret where something is in it, unless `create_version` says otherwise."""
        given = bool(request.version_payload_entries) or request.HasField("password_payload_specification")
        if request.create_version.value if request.HasField("create_version") else given:
            self.save(call.cloud, resource)
            version = self._version(call, resource, request.version_payload_entries, request.version_description, {})
            resource.current_version.CopyFrom(version)

    def _version(self, call: Call, secret: Message, changes: object, description: str, base: dict) -> Message:
        """Keep a new version: the base's entries, changed, or a generated password."""
        cloud, entries = call.cloud, dict(base)
        if secret.HasField("password_payload_specification"):
            spec = secret.password_payload_specification
            entries = {spec.password_key: {"text": generate(spec)}}
        for change in changes:
            if change.WhichOneof("value") is None and change.key in entries:
                del entries[change.key]  # a key alone takes its entry out
            else:
                entries[change.key] = _entry(change)
        if not entries:
            raise invalid("version_payload_entries: a version needs at least one entry")
        kept = json.dumps(entries).encode()
        if len(kept) > 2 * BIGGEST:
            raise invalid(f"version_payload_entries: a version holds at most {BIGGEST} bytes")
        version = new(VERSION)
        version.id, version.secret_id, version.description = new_id(self.prefix), secret.id, description
        version.created_at.GetCurrentTime()
        version.status = version.ACTIVE
        version.payload_entry_keys.extend(sorted(entries))
        if secret.HasField("password_payload_specification"):
            version.password_payload_specification.CopyFrom(secret.password_payload_specification)
        cloud.store.put(VERSION, version.id, secret.folder_id, secret.id, "", version.SerializeToString())
        cloud.store.put_secret(VERSION, version.id, kept)
        return version

    def add_version(self, call: Call, request: Message) -> Message:
        """A version that starts from another one's entries, the current one's by default; it becomes the current one."""
        secret = self.find(call, request)
        before = type(secret).FromString(secret.SerializeToString())
        if request.base_version_id:
            self.version_of(call.cloud, secret, request.base_version_id)
        base = payload(call.cloud, request.base_version_id or secret.current_version.id)
        version = self._version(call, secret, request.payload_entries, request.description, base)
        secret.current_version.CopyFrom(version)
        self.save(call.cloud, secret)
        answer = call.operation(self, secret, "update", before=before, answer=version, version=version.id)
        return answer

    def set_current_version(self, call: Call, request: Message) -> Message:
        secret = self.find(call, request)
        before = type(secret).FromString(secret.SerializeToString())
        version = self.version_of(call.cloud, secret, request.version_id)
        secret.current_version.CopyFrom(version)
        self.save(call.cloud, secret)
        return call.operation(self, secret, "update", before=before, answer=version)

    def version_of(self, cloud: Cloud, secret: Message, ident: str) -> Message:
        version = cloud.get(VERSION, ident)
        if version is None or version.secret_id != secret.id:
            raise not_found("Version", ident)
        return version

    def list_versions(self, call: Call, request: Message) -> Message:
        secret, answer = self.find(call, request), call.answer()
        rows = call.cloud.store.rows("api = ? AND scope = ?", VERSION, secret.id)
        found = [(row.seq, call.cloud.message(row)) for row in rows]
        versions, answer.next_page_token = listing.page(found, request.page_size, request.page_token)
        answer.versions.extend(versions)
        return answer

    def activate(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "ACTIVE")

    def deactivate(self, call: Call, request: Message) -> Message:
        return self._power(call, request, "INACTIVE")

    def _power(self, call: Call, request: Message, status: str) -> Message:
        secret = self.find(call, request)
        before = type(secret).FromString(secret.SerializeToString())
        self.set_status(secret, status)
        self.save(call.cloud, secret)
        return call.operation(self, secret, "power", before=before)

    def reached(self, job: Job) -> tuple[str, ...]:
        return () if job.verb == "power" else super().reached(job)

    def undo(self, cloud: Cloud, job: Job) -> None:
        super().undo(cloud, job)
        if "version" in job.note:
            cloud.store.drop(VERSION, job.note["version"])

    def drop(self, cloud: Cloud, ident: str) -> None:
        for row in cloud.store.rows("api = ? AND scope = ?", VERSION, ident):
            cloud.store.drop(VERSION, row.id)
        cloud.store.drop(self.api, ident)


class Payload(Service):
    """Reads secrets. Only roles that are meant for it allow that: `lockbox.payloadViewer` and administrators."""

    name = "lockbox.v1.PayloadService"

    def get(self, call: Call, request: Message) -> Message:
        secret = call.cloud.get(SECRET, request.secret_id)
        if secret is None:
            raise not_found("Secret", request.secret_id)
        answer = call.answer()
        answer.version_id, entries = self._entries(call.cloud, secret, request.version_id)
        for key, value in entries.items():
            if "text" in value:
                answer.entries.add(key=key, text_value=value["text"])
            else:
                answer.entries.add(key=key, binary_value=bytes.fromhex(value["binary"]))
        return answer

    def get_ex(self, call: Call, request: Message) -> Message:
        """By id, or by folder and name."""
        wanted = request.folder_and_name
        if request.WhichOneof("identifier") == "secret_id":
            secret = call.cloud.get(SECRET, request.secret_id)
        else:
            found = [
                s for s in call.cloud.all(SECRET) if (s.folder_id, s.name) == (wanted.folder_id, wanted.secret_name)
            ]
            secret = found[0] if found else None
        if secret is None:
            raise not_found("Secret", request.secret_id or wanted.secret_name)
        answer = call.answer()
        answer.secret_id = secret.id
        answer.version_id, entries = self._entries(call.cloud, secret, request.version_id)
        for key, value in entries.items():
            answer.entries[key] = value["text"].encode() if "text" in value else bytes.fromhex(value["binary"])
        return answer

    def _entries(self, cloud: Cloud, secret: Message, version: str) -> tuple[str, dict[str, dict[str, str]]]:
        """The version's id and its entries; the current version where none is named."""
        if secret.status != secret.ACTIVE:
            raise refused(f"Secret {secret.name or secret.id} is not active")
        ident = version or secret.current_version.id
        if not ident:
            raise refused(f"Secret {secret.name or secret.id} has no version")
        return ident, payload(cloud, cloud.kind(SECRET).version_of(cloud, secret, ident).id)


SERVICES = (Secret, Payload)
