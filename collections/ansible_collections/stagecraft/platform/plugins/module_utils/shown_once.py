"""Keys of service accounts: the cloud shows their secret half once, so it goes to Lockbox in the same step."""

from __future__ import annotations

import json
import time
from typing import Any

from .declaration import Fail, Unknown
from .session import SECRETS
from .survey import PAGE
from .yandex import Yandex

RENEWED_AT = 1 / 3  # of its life: what is left when the next key is made


class ShownOnce(Yandex):
    """A key is known by its description. A run cut off between the key and its secret is mended by the next."""

    saved_to: Any = None

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
        if place and not isinstance(place["secret"], Unknown) and self.is_kept_in(place["secret"]):
            self.saved_to = have["save_to"] = place

    # ---- for an export ----
    def everything(self) -> list[Any]:
        return list(self.session.pages(self.service, service_account_id=self.keys["service_account"]))

    def closer(self, have: dict) -> dict[str, Any]:
        """Where its secret half is, as far as that can be told without reading a secret."""
        secrets = self.session.pages(SECRETS, folder_id=self.session.need_folder(), page_size=PAGE)
        kept = next((s.id for s in secrets if s.current_version.description == self.note()), None)
        self.saved_to = {"secret": kept} if kept else None
        return have | {"save_to": self.saved_to}

    def to_provide(self) -> list[str]:
        return [] if self.saved_to else ["save_to"]

    # ---- where its secret half is ----
    def is_kept_in(self, secret: str) -> bool:
        """Whether a secret holds this key. Its version's note says so; one with another note is read."""
        version = self.session.current_version(secret)
        noted = version is not None and version.description == self.note()
        return noted or self.session.payload(secret).get("key_id") == self.key_id()

    def note(self) -> str:
        """What the secret's version says of itself."""
        return f"key_id {self.key_id()}"

    def create(self, wanted: dict) -> None:
        place = wanted["save_to"]
        answer = self.call("Create", self.fill(self.request("Create"), wanted))
        self.raw = getattr(answer, self.resource.noun)
        self.id = self.raw.id
        self.session.add_to_secret(place["secret"], {"key_id": self.key_id(), **self.entries(answer)}, self.note())
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


class ApiKeys(ShownOnce):
    """A key that ends by itself. Its successor is made in good time, and it goes on working until it ends."""

    def rows(self) -> list[Any]:
        """All keys of this name, the newest first."""
        rows = self.session.pages(self.service, service_account_id=self.keys["service_account"])
        mine = [r for r in rows if r.description == self.keys["name"]]
        return sorted(mine, key=lambda row: row.created_at.ToNanoseconds(), reverse=True)

    def find_by_name(self) -> Any:
        return next(iter(self.rows()), None)

    def everything(self) -> list[Any]:
        return sorted(super().everything(), key=lambda row: -row.created_at.ToNanoseconds())

    def closer(self, have: dict) -> dict[str, Any]:
        ends, begins = self.raw.expires_at.seconds, self.raw.created_at.seconds
        return super().closer(have) | {"valid_for": ends - begins if ends else None}

    def examine(self, wanted: dict, have: dict) -> None:
        """While enough of its life is left it is as declared."""
        super().examine(wanted, have)
        left, life = self.left(), wanted.get("valid_for")
        if life and left is not None and life * RENEWED_AT <= left <= life:
            left = life
        have["valid_for"] = left
        if life and left is not None and left < life and "save_to" not in wanted:
            raise Fail("another key has to be made: say in save_to where its secret goes")

    def left(self) -> int | None:
        """For how many seconds it is still good; None where it has no end."""
        ends = self.raw.expires_at.seconds
        return max(ends - int(time.time()), 0) if ends else None

    def fill(self, message: Any, values: dict) -> Any:
        if values.get("valid_for"):
            message.expires_at.FromSeconds(int(time.time()) + values["valid_for"])
        return super().fill(message, values)

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        if "save_to" in changed:
            super().update(wanted, changed)
            return
        rest = [n for n in changed if n != "valid_for"]
        if rest:
            Yandex.update(self, wanted, rest)
        left = self.left()
        if "valid_for" in changed and (left is None or left > wanted["valid_for"]):
            request = self.request("Update")
            request.expires_at.FromSeconds(int(time.time()) + wanted["valid_for"])
            request.update_mask.paths.append("expires_at")
            self.call("Update", request)
            self.look()
        elif "valid_for" in changed:
            ended = [r.id for r in self.rows() if 0 < r.expires_at.seconds <= time.time()]
            self.create({"scopes": self.have()["scopes"], **wanted})
            self.delete_keys(ended)

    def delete(self) -> None:
        self.delete_keys([row.id for row in self.rows()])
        self.id, self.raw = "", None

    def delete_keys(self, idents: list[str]) -> None:
        for ident in idents:
            self.call("Delete", self.request("Delete", api_key_id=ident))

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
