"""The rehearsal's own certificate authority. Object Storage and the databases get their certificates here too."""

from __future__ import annotations

import fcntl
import ipaddress
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rehearsal import files

LIFE = timedelta(days=397)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two processes that start together must not make two authorities."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "ca.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def authority(folder: Path) -> Path:
    """The CA's certificate, `ca.pem` in the folder; made with its key at the first call."""
    certificate, key_file = folder / "ca.pem", folder / "ca.key"
    with _only_one(folder):
        if certificate.exists() and key_file.exists():
            return certificate
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stagecraft rehearsal CA")])
        built = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        files.write(key_file, _pem(key))
        certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return certificate


def _usage(ca: bool) -> x509.KeyUsage:
    off = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False, **off
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def issue(folder: Path, names: Iterable[str], label: str = "") -> tuple[Path, Path]:
    """A server certificate for host names and addresses, signed by the folder's CA (made when missing).

    Returns the paths of the certificate (with the CA's after it) and of its key, `<label>.crt` and `<label>.key`; the label
    defaults to the first name. A certificate that is there, names the same hosts and is far from its end, is kept."""
    wanted = list(dict.fromkeys(names))
    label = label or wanted[0].replace("*", "any")
    authority_file = authority(folder)
    certificate, key_file = folder / f"{label}.crt", folder / f"{label}.key"
    alternatives = x509.SubjectAlternativeName([_alternative(name) for name in wanted])
    with _only_one(folder):
        if certificate.exists() and key_file.exists() and _still_good(certificate, alternatives):
            return certificate, key_file
        ca = x509.load_pem_x509_certificate(authority_file.read_bytes())
        ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0][:64])])
        built = (
            x509.CertificateBuilder(ca.subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(min(now + LIFE, ca.not_valid_after_utc))
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        files.write(key_file, _pem(key))
        certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM) + authority_file.read_bytes())
    return certificate, key_file


def _still_good(certificate: Path, alternatives: x509.SubjectAlternativeName) -> bool:
    there = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names == alternatives and there.not_valid_after_utc - datetime.now(UTC) > LIFE / 3
