"""Secrets."""

from __future__ import annotations

from typing import Any

from ..access import ACCESS, Shared
from ..values import same
from ..yandex import Field, Resource


class Secrets(Shared):
    """Values are never read back: entries are compared by their keys, and new values make a new version."""

    def have(self) -> dict[str, Any]:
        return super().have() | {"entries": [{"key": k} for k in self.raw.current_version.payload_entry_keys]}

    def to_provide(self) -> list[str]:
        """The entries that the cloud did not make by itself."""
        made = self.raw.password_payload_specification.password_key
        given = [key for key in self.raw.current_version.payload_entry_keys if key != made]
        return [f"entries ({', '.join(given)})"] if given else []

    def fill(self, message: Any, values: dict) -> Any:
        """A secret that gets its entries later begins without a version."""
        if not values.get("entries") and not values.get("generate"):
            message.create_version.value = False
        return super().fill(message, values)

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        if "entries" in changed:
            texts: dict[str, str | None] = {e["key"]: None for e in self.have()["entries"]}
            texts |= {e["key"]: e["text"] for e in wanted["entries"]}
            self.session.add_to_secret(self.id, texts, wanted.get("version_description", ""))
        renew = "generate" in changed and same(self.bound["generate"], wanted["generate"], self.have().get("generate"))
        if renew:  # a version without entries of its own: the cloud makes the value anew
            self.session.add_to_secret(self.id, {})
        rest = [n for n in changed if n != "entries" and not (renew and n == "generate")]
        if rest:
            super().update(wanted, rest)
        else:
            self.look()


SECRET = Resource(
    "lockbox.v1.Secret",
    backend=Secrets,
    note="Without C(entries) and C(generate) it is an empty secret, for what stores its own entries there.",
    fields=(
        Field(
            "entries",
            "All the entries, compared by their keys. Values are sent when a key is new or with O(update_secrets).",
            "version_payload_entries",
            verbs=True,
            fields=(Field("key", required=True), Field("text", path="text_value", write_only=True, required=True)),
        ),
        Field(
            "version_description",
            "What the version with the O(entries) says of itself, to whoever may see the secret and not read it.",
            create_only=True,
        ),
        Field(
            "generate",
            "The cloud makes the value itself, once, and nobody else has seen it; anew with O(update_secrets).",
            "password_payload_specification",
            renewed=True,
            fields=(
                Field("key", path="password_key", required=True),
                Field("length"),
                Field("uppercase", path="include_uppercase"),
                Field("lowercase", path="include_lowercase"),
                Field("digits", path="include_digits"),
                Field("punctuation", path="include_punctuation"),
                Field("included_punctuation"),
                Field("excluded_punctuation"),
            ),
        ),
        ACCESS,
    ),
    example="""
name: database
generate: {key: password, length: 32, punctuation: false}
access:
  - {role: lockbox.payloadViewer, service_account: api}
""",
)
