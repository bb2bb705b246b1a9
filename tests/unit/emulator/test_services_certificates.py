"""Certificates: issued when the names are proven, or imported, and given out only to who may have the keys."""

from __future__ import annotations

import grpc
import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import keys
from authority import expired
from cloud_client import refused

Code = grpc.StatusCode
CERTIFICATES, CONTENT = "certificatemanager.v1.Certificate", "certificatemanager.v1.CertificateContent"


@pytest.fixture
def certificates(client):
    return client.api(CERTIFICATES)


@pytest.fixture(scope="module")
def authority():
    return keys.authority("Test CA")


@pytest.fixture(scope="module")
def pair(authority):
    return keys.leaf(["api.example.org"], authority)


@pytest.fixture
def zone(client):
    return client.api("dns.v1.DnsZone").Create(folder_id=client.folder, zone="example.org.", public_visibility={})


def asked(client, certificates, **more):
    domains = more.pop("domains", ["api.example.org", "*.example.org"])
    made = certificates.RequestNew(folder_id=client.folder, domains=domains, **more)
    return certificates.Get(certificate_id=made.id, view="FULL")


def test_it_is_issued_when_every_name_is_proven(client, emulator, certificates, zone):
    made = asked(client, certificates, challenge_type="DNS")
    assert (
        made.status == made.VALIDATING
        and made.type == made.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_name["MANAGED"].number
    )
    assert not certificates.Get(certificate_id=made.id).challenges, "the basic view leaves them out"
    for challenge in made.challenges:
        assert certificates.Get(certificate_id=made.id).status == made.VALIDATING
        record = challenge.dns_challenge
        row = {"name": record.name, "type": record.type, "ttl": 60, "data": [record.value]}
        client.api("dns.v1.DnsZone").UpsertRecordSets(dns_zone_id=zone.id, replacements=[row])
    issued = certificates.Get(certificate_id=made.id, view="FULL")
    assert issued.status == issued.ISSUED and list(issued.domains) == ["api.example.org", "*.example.org"]
    content = client.api(CONTENT).Get(certificate_id=made.id)
    leaf, above = map(keys.read_certificate, content.certificate_chain)
    leaf.verify_directly_issued_by(above)
    assert above == keys.read_certificate((emulator.folder / "ca.pem").read_text())
    assert f"{leaf.serial_number:x}" == issued.serial
    keys.belongs(content.certificate_chain[0], content.private_key)
    assert not list(emulator.folder.glob("managed-*")), "the key is kept in one place"


def test_a_wrong_record_proves_nothing_and_a_private_zone_neither(client, certificates):
    made = asked(client, certificates, domains=["api.example.org"])
    record, network = made.challenges[0].dns_challenge, client.network()
    zones = client.api("dns.v1.DnsZone")
    private = zones.Create(
        folder_id=client.folder, zone="example.org.", private_visibility={"network_ids": [network.id]}
    )
    public = zones.Create(folder_id=client.folder, zone="example.org.", public_visibility={})
    for zone, value in ((private, record.value), (public, "fpqother.cm.yandexcloud.net.")):
        row = {"name": record.name, "type": "CNAME", "ttl": 60, "data": [value]}
        zones.UpsertRecordSets(dns_zone_id=zone.id, replacements=[row])
    assert certificates.Get(certificate_id=made.id).status == made.VALIDATING
    refused(Code.FAILED_PRECONDITION, lambda: client.api(CONTENT).Get(certificate_id=made.id), "is not issued")


def test_an_imported_one_shows_what_is_in_it(client, certificates, pair, authority):
    made = certificates.Create(
        folder_id=client.folder, name="own", certificate=pair["certificate"], private_key=pair["private_key"]
    )
    assert made.status == made.ISSUED and made.incomplete_chain and list(made.domains) == ["api.example.org"]
    assert made.issuer == "CN=Test CA"
    other = keys.leaf(["www.example.org"], authority)
    changed = certificates.Update(
        certificate_id=made.id, mask="certificate,chain,private_key", **other, chain=authority["certificate"]
    )
    assert list(changed.domains) == ["www.example.org"] and not changed.incomplete_chain
    content = client.api(CONTENT).GetEx(
        folder_and_name={"folder_id": client.folder, "certificate_name": "own"}, private_key_format="PKCS1"
    )
    assert content.certificate_chain[0] == other["certificate"] and "BEGIN EC PRIVATE KEY" in content.private_key
    certificates.Delete(certificate_id=made.id)
    refused(Code.NOT_FOUND, lambda: client.api(CONTENT).Get(certificate_id=made.id))


def test_what_cannot_be_a_certificate(client, certificates, pair, authority):
    def make(**more):
        return lambda: certificates.Create(folder_id=client.folder, **{**pair, **more})

    other = keys.leaf(["api.example.org"], authority)
    refused(Code.INVALID_ARGUMENT, make(certificate="nothing"), "no certificate in PEM")
    said = refused(Code.INVALID_ARGUMENT, make(private_key="hunter2"), "no private key in PEM")
    assert "hunter2" not in said.message
    refused(Code.INVALID_ARGUMENT, make(private_key=other["private_key"]), "does not belong")
    refused(Code.INVALID_ARGUMENT, make(**expired(["api.example.org"], authority)), "it has expired on 20")
    for domains, how, says in (
        ([], "DNS", "domains"),
        (["com"], "DNS", "must be a domain name"),
        (["*.example.org"], "HTTP", "DNS only"),
    ):
        refused(
            Code.INVALID_ARGUMENT,
            lambda d=domains, h=how: asked(client, certificates, domains=d, challenge_type=h),
            says,
        )


def test_keys_are_for_who_may_have_them(client, emulator, certificates, pair):
    made = certificates.Create(folder_id=client.folder, **pair)
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="front")
    identity = emulator.cloud.identity
    for role, may in (
        ("certificate-manager.viewer", False),
        ("certificate-manager.editor", False),
        ("certificate-manager.certificates.downloader", True),
    ):
        identity.bind(made.id, role, "serviceAccount", account.id)
        other = type(client)(emulator.env, iam_token=identity.grant(account.id)[0])
        if may:
            assert other.api(CONTENT).Get(certificate_id=made.id).private_key == pair["private_key"]
        else:
            refused(Code.PERMISSION_DENIED, lambda other=other: other.api(CONTENT).Get(certificate_id=made.id))
    assert pair["private_key"].split("\n")[1] not in emulator.journal.path.read_text()
