"""Certificate Manager. A managed certificate is issued by the rehearsal's own authority once its names are proven to be
the caller's: by the records that its challenges ask for, in a public zone of this cloud."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.protobuf.message import Message
from yandex.cloud.certificatemanager.v1 import certificate_content_service_pb2, certificate_pb2

from rehearsal.cloud import tls
from rehearsal.cloud.access import Bound
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import invalid, not_found, refused
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.service import Call, Service

CERTIFICATE = "certificatemanager.v1.Certificate"
PAIR = {"certificate", "chain", "private_key"}
MOST = 100  # names in one certificate
PUBLIC = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo


def content(cloud: Cloud, ident: str) -> tuple[list[str], str]:
    """The chain, the certificate first, and its private key, all in PEM; nothing while it is not issued."""
    kept = cloud.secret(CERTIFICATE, ident)
    found = json.loads(kept) if kept else {"chain": [], "private_key": ""}
    return found["chain"], found["private_key"]


class Certificate(Bound, Kind):
    api = CERTIFICATE
    prefix = "fpq"
    required = ("folder_id",)
    users = ("serverless.apigateway.v1.ApiGateway",)
    transient = False

    # ---- imported ----
    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        if "domains" in request.DESCRIPTOR.fields_by_name:
            self._ask(resource, request)
        else:
            resource.type = certificate_pb2.IMPORTED
            self._take(call.cloud, resource, request.certificate, request.chain, request.private_key)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        if PAIR & set(self.paths(request)) and request.certificate:
            if resource.type != certificate_pb2.IMPORTED:
                raise refused(f"Certificate {resource.id} is managed: its text cannot be changed")
            self._take(call.cloud, resource, request.certificate, request.chain, request.private_key)
        resource.updated_at.GetCurrentTime()

    def _take(self, cloud: Cloud, resource: Message, text: str, chain: str, key: str) -> None:
        """Keep a certificate with its key. Raises INVALID_ARGUMENT where they do not fit, or its time has run out."""
        try:
            certificates = x509.load_pem_x509_certificates("\n".join((text, chain)).encode())
        except ValueError as error:
            raise invalid(f"certificate: it is no certificate in PEM: {error}") from None
        try:
            public = serialization.load_pem_private_key(key.encode(), None).public_key()
        except (ValueError, TypeError):
            raise invalid("private_key: it is no private key in PEM without a password") from None
        leaf = certificates[0]
        if leaf.public_key().public_bytes(*PUBLIC) != public.public_bytes(*PUBLIC):
            raise invalid("private_key: it does not belong to the certificate")
        if leaf.not_valid_after_utc <= datetime.now(UTC):
            raise invalid(f"certificate: it has expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
        self._show(resource, leaf)
        resource.incomplete_chain = len(certificates) == 1 and leaf.issuer != leaf.subject
        texts = [one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates]
        cloud.store.put_secret(self.api, resource.id, json.dumps({"chain": texts, "private_key": key}).encode())

    def _show(self, resource: Message, leaf: x509.Certificate) -> None:
        """What the API shows of a certificate."""
        try:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            domains = names.get_values_for_type(x509.DNSName)
        except x509.ExtensionNotFound:
            domains = []
        del resource.domains[:]
        resource.domains.extend(domains)
        resource.status = resource.ISSUED
        resource.issuer, resource.subject = leaf.issuer.rfc4514_string(), leaf.subject.rfc4514_string()
        resource.serial = f"{leaf.serial_number:x}"
        resource.not_before.FromDatetime(leaf.not_valid_before_utc)
        resource.not_after.FromDatetime(leaf.not_valid_after_utc)
        resource.issued_at.GetCurrentTime()
        resource.updated_at.GetCurrentTime()

    # ---- managed ----
    def request_new(self, call: Call, request: Message) -> Message:
        return self.create(call, request)

    def _ask(self, resource: Message, request: Message) -> None:
        """Say what proves that the names are the caller's."""
        if not 0 < len(request.domains) <= MOST:
            raise invalid(f"domains: Number of elements must be in 1-{MOST}")
        if any(len(name.removeprefix("*.").split(".")) < 2 or " " in name for name in request.domains):
            raise invalid(f"domains: {', '.join(request.domains)}: each must be a domain name")
        by_file = request.challenge_type == certificate_pb2.HTTP
        if by_file and any(name.startswith("*.") for name in request.domains):
            raise invalid("challenge_type: names with * can be proven by DNS only")
        resource.type, resource.status = certificate_pb2.MANAGED, resource.VALIDATING
        for domain in request.domains:
            name = domain.removeprefix("*.")
            challenge = resource.challenges.add(domain=domain, status=certificate_pb2.Challenge.PENDING)
            challenge.created_at.GetCurrentTime()
            if by_file:
                challenge.type = certificate_pb2.HTTP
                challenge.http_challenge.url = f"http://{name}/.well-known/acme-challenge/{resource.id}"
                challenge.http_challenge.content = resource.id
            else:
                challenge.type = certificate_pb2.DNS
                record = challenge.dns_challenge
                record.name, record.type = f"_acme-challenge.{name}.", "CNAME"
                record.value = f"{resource.id}.cm.yandexcloud.net."

    def get(self, call: Call, request: Message) -> Message:
        self.validate(call.cloud)
        return super().get(call, request)

    def list(self, call: Call, request: Message) -> Message:
        self.validate(call.cloud)
        return super().list(call, request)

    def validate(self, cloud: Cloud) -> None:
        """Issue what has been proven since somebody looked last."""
        waiting = [resource for resource in cloud.all(self.api) if resource.status == resource.VALIDATING]
        if waiting:
            zones = cloud.kind("dns.v1.DnsZone")
            public = [zone for zone in cloud.all(zones.api) if zone.HasField("public_visibility")]
            records = [record for zone in public for record in zones.records(cloud, zone).values()]
            there = {(record.name, value) for record in records for value in record.data}
        for resource in waiting:
            for challenge in resource.challenges:
                record = challenge.dns_challenge
                if (record.name, record.value) in there and challenge.HasField("dns_challenge"):
                    challenge.status = certificate_pb2.Challenge.VALID
                    challenge.updated_at.GetCurrentTime()
            if all(challenge.status == certificate_pb2.Challenge.VALID for challenge in resource.challenges):
                self._issue(cloud, resource)
            self.save(cloud, resource)

    def _issue(self, cloud: Cloud, resource: Message) -> None:
        files = tls.issue(cloud.folder, resource.domains, f"managed-{resource.id}")
        certificate, key = (file.read_text() for file in files)
        for file in files:
            file.unlink()
        self._take(cloud, resource, certificate, "", key)

    # ---- the rest ----
    def view(self, cloud: Cloud, resource: Message, request: Message) -> Message:
        """The basic view has no challenges."""
        if getattr(request, "view", 0) == 0:
            resource.ClearField("challenges")
        return resource


class Content(Service):
    """Gives certificates out with their keys: only to who has a role that is meant for it."""

    name = "certificatemanager.v1.CertificateContentService"

    def get(self, call: Call, request: Message) -> Message:
        return self._answer(call, request, request.certificate_id)

    def get_ex(self, call: Call, request: Message) -> Message:
        """By id, or by folder and name."""
        wanted, ident = request.folder_and_name, request.certificate_id
        if request.WhichOneof("identifier") == "folder_and_name":
            rows = call.cloud.store.rows(
                "api = ? AND folder = ? AND name = ?", CERTIFICATE, wanted.folder_id, wanted.certificate_name
            )
            ident = next((row.id for row in rows), wanted.certificate_name)
        return self._answer(call, request, ident)

    def _answer(self, call: Call, request: Message, ident: str) -> Message:
        if call.cloud.get(CERTIFICATE, ident) is None:
            raise not_found("Certificate", ident)
        call.cloud.kind(CERTIFICATE).validate(call.cloud)
        chain, key = content(call.cloud, ident)
        if not chain:
            raise refused(f"Certificate {ident} is not issued")
        answer = call.answer()
        answer.certificate_id = ident
        answer.certificate_chain.extend(chain)
        answer.private_key = _in_format(key, request.private_key_format)
        return answer


def _in_format(key: str, wanted: int) -> str:
    """A private key as it is kept, or in the format that is asked for."""
    formats = {
        certificate_content_service_pb2.PKCS1: serialization.PrivateFormat.TraditionalOpenSSL,
        certificate_content_service_pb2.PKCS8: serialization.PrivateFormat.PKCS8,
    }
    if wanted not in formats:
        return key
    loaded = serialization.load_pem_private_key(key.encode(), None)
    return loaded.private_bytes(serialization.Encoding.PEM, formats[wanted], serialization.NoEncryption()).decode()


SERVICES = (Certificate, Content)
