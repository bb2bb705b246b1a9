"""Keys and certificates: made, judged, renewed. Nothing here knows where they are kept."""

from __future__ import annotations

import datetime
import ipaddress

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    HAS_CRYPTOGRAPHY = True
except ImportError:  # the module says so, with what to install
    HAS_CRYPTOGRAPHY = False

from .declaration import Fail

CA_DAYS = 3650
LEAF_DAYS = 90
BACKDATED = datetime.timedelta(minutes=5)  # clocks of machines differ a little


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def pem(key):
    """A private key as PKCS #8 text."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def ssh_pair(comment):
    """An Ed25519 pair as OpenSSH writes it: {private_key, public_key}."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return {"private_key": private.decode(), "public_key": f"{public.decode()} {comment}\n"}


def builder(subject, issuer, public_key, days):
    """What a CA's certificate and a leaf have in common (RFC 5280)."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - BACKDATED)
        .not_valid_after(now() + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def usage(ca):
    """Key usage of a CA, or of a leaf with an elliptic-curve key."""
    return x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def authority(common_name, days=CA_DAYS):
    """A self-signed CA that signs leaves only: {private_key, certificate}."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return {"private_key": pem(key), "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode()}


def leaf(names, ca, days=LEAF_DAYS):
    """A certificate for servers and clients of these names and addresses, signed by `ca`: {private_key, certificate}."""
    issuer = x509.load_pem_x509_certificate(ca["certificate"].encode())
    signer = serialization.load_pem_private_key(ca["private_key"].encode(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        builder(subject, issuer.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(ca=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return {"private_key": pem(key), "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode()}


def general_name(name):
    """A subject alternative name: an address where it reads as one, a DNS name otherwise."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def why_renew(entries, names, ca, at=None):
    """Why a stored leaf does not do any longer, as a phrase; empty where it does.

    It is renewed when a third of its life is left, when its names are others, and when another CA signs."""
    certificate = x509.load_pem_x509_certificate(entries["certificate"].encode())
    issuer = x509.load_pem_x509_certificate(ca["certificate"].encode())
    at = at or now()
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if certificate.not_valid_after_utc - at < life / 3:
        return "less than a third of its life is left"
    there = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if list(there) != [general_name(name) for name in names]:
        return "its names are others"
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # whatever is wrong with the signature, another certificate is the answer
        return "another CA signs now"
    return ""


def read_certificate(text):
    """The first certificate of a PEM text. Raises ValueError."""
    return x509.load_pem_x509_certificate(str(text).encode())


def fault(text):
    """What keeps a text from being a good certificate; nothing where it is one, or where the library is not there."""
    if not HAS_CRYPTOGRAPHY:
        return ""
    try:
        until = read_certificate(text).not_valid_after_utc
    except ValueError:
        return "is not a certificate in PEM"
    return "has expired on {:%Y-%m-%d}".format(until) if until <= now() else ""


def belongs(certificate, private_key):
    """Raises Fail where a private key cannot be read, or is another certificate's. The key is never quoted."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        public = serialization.load_pem_private_key(private_key.encode(), None).public_key()
    except (ValueError, TypeError):
        raise Fail("private_key: it is no private key in PEM without a password") from None
    if public.public_bytes(*form) != read_certificate(certificate).public_key().public_bytes(*form):
        raise Fail("private_key: it does not belong to the certificate")
