"""A certificate authority for role tests, and a certificate for each host: certificates.py FOLDER HOST..."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def main(folder: Path, hosts: list[str]) -> None:
    """Make what is missing; what is there stays, so that a second run of a role sees the same files."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = authority_of(folder)
    for host in hosts:
        if not (folder / f"{host}.pem").exists():
            issue(folder, host, authority)


def authority_of(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority's certificate and key, made at the first call."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not certificate.exists():
        secret = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stagecraft role tests")])
        made = builder(name, name, secret).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        write(key, certificate, secret, made.sign(secret, hashes.SHA256()))
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(certificate.read_bytes()), loaded


def issue(folder: Path, host: str, authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> None:
    """A certificate for the host's name, for localhost and for 127.0.0.1, for servers and clients."""
    issuer, issuer_key = authority
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    names = [x509.DNSName(host), x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = (
        builder(name, issuer.subject, secret)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    write(folder / f"{host}.key", folder / f"{host}.pem", secret, made.sign(issuer_key, hashes.SHA256()))


def builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def write(key_path: Path, path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    no_password = serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    key_path.write_bytes(key.private_bytes(*form))
    key_path.chmod(0o600)
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
