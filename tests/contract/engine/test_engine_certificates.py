"""Certificates of one's own: compared by what is in them, sent with their keys, and no key is shown."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import keys
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from authority import expired
from engine_runs import Engine

CONTENT = "certificatemanager.v1.CertificateContentService"
KIND = "certificatemanager_certificate"


@pytest.fixture(scope="module")
def authority():
    return keys.authority("Test CA")


@pytest.fixture(scope="module")
def pairs(authority):
    return [keys.leaf(["api.example.org"], authority) for _ in range(2)]


@pytest.fixture
def own(engine: Engine):
    """Apply it; what was said, and the key that the cloud has now."""

    def apply(check: bool = False, **values) -> tuple[dict, str]:
        said = engine.apply(KIND, {"name": "own", **values}, check=check)
        ident = said.get("certificate", {}).get("id")
        request = engine.session.call(CONTENT, "Get", content_of(ident)) if ident else None
        return said, request.private_key if request is not None else ""

    yield apply
    engine.demolish([{KIND: {"name": "own"}}, {"lockbox_secret": {"name": "own-pair"}}])


def test_records_prove_a_name_and_lead_it_to_a_gateway(engine):
    """What the records say comes from the certificate and from the gateway, in one run; then the certificate is there."""
    document = {"openapi": "3.0.3", "info": {"title": "api", "version": "1"}, "paths": {}}
    wanted = {"dns_zone": "public", "type": "CNAME"}
    declared = [
        {"dns_record_set": {**wanted, "name": "_acme-challenge.api.example.org.", "certificate": "proven"}},
        {"dns_record_set": {**wanted, "name": "api.example.org.", "api_gateway": "entry"}},
        {"dns_zone": {"name": "public", "zone": "example.org.", "public": True}},
        {KIND: {"name": "proven", "domains": ["api.example.org"], "challenge": "dns"}},
        {"api_gateway": {"name": "entry", "openapi": document}},
    ]
    try:
        assert all(row["changed"] for row in engine.stack(declared, check=True))
        engine.build(declared)
        issued = engine.apply(KIND, {"name": "proven"}, state="info")["certificate"]
        assert issued["status"] == "issued", issued
        gateway = engine.apply("api_gateway", {"name": "entry"}, state="info")["api_gateway"]
        record = engine.apply("dns_record_set", {**wanted, "name": "api.example.org."}, state="info")["record_set"]
        assert record["data"] == [gateway["domain"] + "."]
        assert not any(row["changed"] for row in engine.stack(declared))
    finally:
        engine.demolish(declared)


def content_of(ident: str):
    from yandex.cloud.certificatemanager.v1.certificate_content_service_pb2 import GetCertificateContentRequest

    return GetCertificateContentRequest(certificate_id=ident)


def test_it_is_sent_once_and_again_when_it_is_another(own, pairs, authority):
    said = []
    for pair in pairs:
        would, _ = own(check=True, **pair)
        did, key = own(**pair, chain=authority["certificate"])
        again, _ = own(**pair)
        said += [would, did, again]
        assert [row["changed"] for row in (would, did, again)] == [True, True, False]
        assert key == pair["private_key"]
    assert "certificate" in did["diff"]["after"] and did["diff"]["before"]["certificate"].startswith("serial ")
    assert did["certificate"]["domains"] == ["api.example.org"] and "incomplete_chain" not in did["certificate"]
    shown = json.dumps(said, default=str)
    assert not [pair for pair in pairs if pair["private_key"].split("\n")[1] in shown]


def test_its_key_comes_from_the_secret_store(engine, own, pairs):
    entries = [{"key": "key", "text": pairs[0]["private_key"]}]
    engine.build([{"lockbox_secret": {"name": "own-pair", "entries": entries}}])
    place = {"secret": "own-pair", "key": "key"}
    said, key = own(certificate=pairs[0]["certificate"], private_key_secret=place)
    assert said["changed"] and key == pairs[0]["private_key"]
    with pytest.raises(Fail, match="private_key: it does not belong to the certificate"):
        own(certificate=pairs[1]["certificate"], private_key_secret=place)
    entries[0]["text"] = pairs[1]["private_key"]
    engine.apply("lockbox_secret", {"name": "own-pair", "entries": entries, "update_secrets": True})
    said, key = own(certificate=pairs[1]["certificate"], private_key_secret=place)
    assert said["changed"] and key == pairs[1]["private_key"]


def test_what_is_wrong_is_said_before_anything_is_called(engine, own, pairs):
    before = len(engine.calls())
    first, second = pairs
    for values, says in (
        ({"certificate": first["certificate"]}, "set domains, .* or certificate and private_key"),
        ({"certificate": first["certificate"], "private_key": second["private_key"]}, "does not belong to the cert"),
        ({"certificate": first["certificate"], "private_key": "hunter2"}, "it is no private key in PEM"),
        ({**first, "domains": ["api.example.org"]}, "mutually exclusive"),
        ({**first, "certificate": first["private_key"]}, "is not a certificate in PEM"),
    ):
        with pytest.raises(Fail, match=says) as error:
            own(**values)
        assert "hunter2" not in str(error.value) and first["private_key"].split("\n")[2] not in str(error.value)
    assert len(engine.calls()) == before


def test_an_expired_one_is_refused_and_the_old_one_stays(engine, own, pairs, authority):
    _, key = own(**pairs[0])
    before = len(engine.calls())
    yesterday = keys.now() - keys.datetime.timedelta(days=1)
    with pytest.raises(Fail, match=f" own .*: certificate: .* has expired on {yesterday:%Y-%m-%d}"):
        own(**expired(["api.example.org"], authority))
    assert len(engine.calls()) == before
    assert own(**pairs[0]) == (own(**pairs[0])[0], key), "it serves on"


def test_another_certificate_needs_its_key(own, pairs):
    own(**pairs[0])
    with pytest.raises(Fail, match="another one needs its private_key"):
        own(certificate=pairs[1]["certificate"])
