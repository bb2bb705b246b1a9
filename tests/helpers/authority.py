"""A certificate authority for tests: real keys and certificates, made as the stages' own are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.append(str(Path(__file__).parents[2] / "collections"))

from ansible_collections.stagecraft.platform.plugins.module_utils import keys


def expired(names: list[str], authority: dict[str, str]) -> dict[str, str]:
    """A certificate of these names whose time ran out yesterday, and its key."""
    made = keys.leaf(names, authority)
    there = keys.read_certificate(made["certificate"])
    yesterday = keys.now() - timedelta(days=1)
    signer = serialization.load_pem_private_key(authority["private_key"].encode(), None)
    building = (
        x509.CertificateBuilder(there.issuer, there.subject, there.public_key(), x509.random_serial_number())
        .not_valid_before(yesterday - timedelta(days=1))
        .not_valid_after(yesterday)
    )
    for extension in there.extensions:
        building = building.add_extension(extension.value, extension.critical)
    built = building.sign(signer, there.signature_hash_algorithm)
    return {**made, "certificate": built.public_bytes(serialization.Encoding.PEM).decode()}


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    def write(self, made: dict[str, str]) -> None:
        """Keep a pair; nobody else may read its key."""
        self.key.touch(0o600)
        self.key.write_text(made["private_key"])
        self.certificate.write_text(made["certificate"])

    def read(self) -> dict[str, str]:
        return {"private_key": self.key.read_text(), "certificate": self.certificate.read_text()}


class Authority:
    """Signs what it is asked to. What its folder holds already is used again, so that a second run sees the same files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        pair = self._pair("ca")
        if not pair.certificate.exists():
            pair.write(keys.authority("Stagecraft tests"))
        self._own = pair.read()
        self.certificate = pair.certificate

    def issue(self, name: str, *hosts: str) -> Pair:
        """A certificate for servers and clients of this name and of these host names and addresses."""
        pair, names = self._pair(name), list(dict.fromkeys([name, *hosts]))
        if not pair.certificate.exists() or keys.why_renew(pair.read(), names, self._own):
            pair.write(keys.leaf(names, self._own))
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
