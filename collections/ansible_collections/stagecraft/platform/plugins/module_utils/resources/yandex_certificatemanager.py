"""Certificate Manager."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..keys import belongs, read_certificate
from ..protobuf import bind, tidy
from ..yandex import SECRET, Fail, Field, Resource, Yandex

MANAGED = (
    Field("domains", "Names that the cloud gets a certificate for, and renews it."),
    Field(
        "challenge",
        "How you prove that they are yours: C(dns), by a record, or C(http), by a file. What is wanted is in the "
        "certificate's C(challenges).",
        "challenge_type",
        create_only=True,
    ),
)
PAIR = ("certificate", "chain", "private_key")  # what is imported, always together


class Certificates(Yandex):
    """One that the cloud manages is asked for by another method than one that is imported."""

    def __init__(self, session: Any, resource: Any, params: dict) -> None:
        super().__init__(session, resource, params)
        self.key_place = params.get("private_key_secret")

    def bind(self, params: dict) -> dict[str, Any]:
        bound = super().bind(params)
        request, read = self.methods["RequestNew"].input_type, self.methods["Get"].output_type
        bound |= {f.name: bind(f, request, None, read, self.resource.noun) for f in MANAGED}
        bound["domains"].choice, bound["certificate"].choice = ("kind", "managed"), ("kind", "imported")
        return bound | {"private_key": dataclasses.replace(bound["private_key"], required=False)}

    def examine(self, wanted: dict, have: dict) -> None:
        """The API does not show a certificate's text, but what is in it."""
        text = wanted.get("certificate")
        if text:
            there = read_certificate(text)
            same = int(self.raw.serial or "0", 16) == there.serial_number
            until = self.raw.not_after.ToJsonString()
            have["certificate"] = text if same else f"serial {self.raw.serial}, until {until}"

    # ---- for an export ----
    def closer(self, have: dict) -> dict[str, Any]:
        """Of one that was imported the names are the certificate's own."""
        said = tidy(self.raw)
        if said["type"] != "managed":
            return super().closer(have) | {"domains": None}
        kinds = [challenge["type"].upper() for challenge in said.get("challenges", ())]
        return super().closer(have) | {"challenge": next(iter(kinds), None)}

    def to_provide(self) -> list[str]:
        return [] if tidy(self.raw)["type"] == "managed" else ["certificate", "private_key"]

    # ---- change ----

    def make(self, wanted: dict) -> Any:
        if wanted.get("domains"):
            return self.call("RequestNew", self.fill(self.request("RequestNew"), wanted))
        if not (wanted.get("certificate") and wanted.get("private_key")):
            raise Fail(
                "it does not exist; to create it set domains, for one that the cloud gets and renews, or certificate and "
                "private_key (or private_key_secret), for one of your own"
            )
        belongs(wanted["certificate"], wanted["private_key"])
        return super().make(wanted)

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        """A new certificate and its key go together."""
        if set(PAIR) & set(changed):
            wanted = {**wanted, "private_key": wanted.get("private_key") or self.stored_key()}
            belongs(wanted.get("certificate", ""), wanted["private_key"])
            changed = [n for n in changed if n not in PAIR] + [n for n in PAIR if wanted.get(n)]
        super().update(wanted, changed, stop)

    def stored_key(self) -> str:
        """The private key, from where it is kept."""
        if not self.key_place:
            raise Fail("certificate: another one needs its private_key (or private_key_secret) beside it")
        secret = self.session.resolve(SECRET, {"name": self.key_place["secret"]})
        return self.session.secret(secret, self.key_place["key"])


def challenge(session: Any, certificate: Any) -> str:
    """What the record of a certificate's first name has to say. Raises Fail where no record proves anything."""
    values = [c.dns_challenge.value for c in certificate.challenges if c.HasField("dns_challenge")]
    if not values:
        raise Fail(f"the certificate {certificate.name} has no challenge by DNS: declare it with challenge: dns")
    return values[0]


CERTIFICATE = Resource(
    "certificatemanager.v1.Certificate",
    backend=Certificates,
    view="FULL",
    note="Either C(domains), of a certificate that the cloud manages, or a C(certificate) of your own with its key.",
    fields=(
        Field("certificate", "A certificate of your own, in PEM.", form="certificate"),
        Field("chain", "Certificates of the authorities above it, in PEM; sent with it.", create_only=True),
        Field("private_key", "Its private key, in PEM, without a password; sent with it.", write_only=True),
    ),
    example="""
name: api
domains: [api.example.org]
challenge: dns
""",
)
