"""Keys of service accounts: the cloud shows their secret half once, so it goes to Lockbox in the same step."""

from __future__ import annotations

import json
from typing import Any

from .declaration import Unknown
from .yandex import Yandex


class ShownOnce(Yandex):
    """A key is known by its description. A run cut off between the key and its secret is mended by the next."""

    def find_by_name(self) -> Any:
        rows = self.session.pages(self.service, service_account_id=self.keys["service_account"])
        return next((r for r in rows if r.description == self.keys["name"]), None)

    def have(self) -> dict[str, Any]:
        """`save_to` is as declared where the secret there belongs to this key."""
        return super().have() | {"save_to": self.saved_to}

    def find(self) -> dict | None:
        self.saved_to = None
        return super().find()

    def examine(self, wanted: dict, have: dict) -> None:
        """Only now it is known in which secret to look."""
        place = wanted.get("save_to")
        if (
            place
            and not isinstance(place["secret"], Unknown)
            and self.session.payload(place["secret"]).get("key_id") == self.key_id()
        ):
            self.saved_to = have["save_to"] = place

    def create(self, wanted: dict) -> None:
        place = wanted["save_to"]
        answer = self.call("Create", self.fill(self.request("Create"), wanted))
        self.raw = getattr(answer, self.resource.noun)
        self.id = self.raw.id
        self.session.add_to_secret(place["secret"], {"key_id": self.key_id(), **self.entries(answer)})
        self.appear()
        self.saved_to = place

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        """Its secret is not where it should be, and nobody can read it again: make a new key."""
        self.delete()
        self.create(wanted)

    def key_id(self) -> str:
        return self.raw.id

    def entries(self, answer: Any) -> dict[str, str]:
        """What to keep of the answer to Create."""
        raise NotImplementedError


class AccessKeys(ShownOnce):
    """A static key for Object Storage."""

    def key_id(self) -> str:
        return self.raw.key_id

    def entries(self, answer: Any) -> dict[str, str]:
        return {"secret": answer.secret}


class AuthorizedKeys(ShownOnce):
    """A key pair for the API; the entry key_file is the file that Yandex's tools read."""

    def entries(self, answer: Any) -> dict[str, str]:
        key = answer.key
        algorithm = key.DESCRIPTOR.fields_by_name["key_algorithm"].enum_type.values_by_number[key.key_algorithm].name
        file = {
            "id": key.id,
            "service_account_id": key.service_account_id,
            "created_at": key.created_at.ToJsonString(),
            "key_algorithm": algorithm,
            "public_key": key.public_key,
            "private_key": answer.private_key,
        }
        return {"key_file": json.dumps(file, indent=2)}
