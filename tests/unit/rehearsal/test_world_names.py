"""What the networks' name servers answer."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest
from dnslib import DNSRecord
from yandex.cloud.dns.v1.dns_zone_pb2 import DnsZone, RecordSet

from rehearsal.places import Place
from rehearsal.world import names, topology
from rehearsal.world.topology import Endpoint, Interface


@pytest.fixture
def known(cloud, tmp_path, monkeypatch):
    """The snapshot of the small VPC with a private zone and a database's host, as its server reads it."""
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path))
    zone = DnsZone(id="dns1", zone="partners.internal.")
    zone.private_visibility.network_ids.append("net")
    foreign = DnsZone(id="dns2", zone="foreign.internal.")
    foreign.private_visibility.network_ids.append("another")
    records = [
        RecordSet(name="backend-1.partners.internal.", type="A", ttl=60, data=["10.0.0.6", "10.0.0.7"]),
        RecordSet(name="api.partners.internal.", type="CNAME", ttl=60, data=["backend-1.partners.internal."]),
        RecordSet(name="*.apps.partners.internal.", type="A", ttl=60, data=["10.0.0.9"]),
        RecordSet(name="partners.internal.", type="SOA", ttl=60, data=["ns.x. mx.x. 1 10800 900 604800 300"]),
        RecordSet(name="partners.internal.", type="NS", ttl=60, data=["ns.internal.yandexcloud.net."]),
        RecordSet(
            name="_http._tcp.partners.internal.", type="SRV", ttl=60, data=["1 2 8443 backend-1.partners.internal."]
        ),
        RecordSet(name="partners.internal.", type="TXT", ttl=60, data=['"v=1 a"']),
    ]
    host = Endpoint(
        "host",
        ("rc1a-1.mdb.yandexcloud.net", "c-1.rw.mdb.yandexcloud.net"),
        (Interface("sub-b", IPv4Address("10.0.1.9")),),
    )
    foreign_records = [RecordSet(name="x.foreign.internal.", type="A", ttl=60, data=["10.9.9.9"])]
    public = DnsZone(id="dns3", zone="site.example.")
    public.public_visibility.SetInParent()
    public_records = [RecordSet(name="www.site.example.", type="A", ttl=60, data=["198.51.100.70"])]
    place = Place("t")
    zones = [(zone, records), (foreign, foreign_records), (public, public_records)]
    names.write(place, names.snapshot(place, topology.read(cloud, [host]), zones))
    return names.Server(place)


def ask(server: names.Server, name: str, kind: str = "A", network: str = "net") -> tuple[str, list[str]]:
    """The code and the values of an answer."""
    reply = DNSRecord.parse(server.reply(network, DNSRecord.question(name, kind).pack()))
    return names.RCODE[reply.header.rcode], [str(item.rdata) for item in reply.rr]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("www.site.example", ["198.51.100.70"]),
        ("backend-1.partners.internal", ["10.0.0.6", "10.0.0.7"]),
        ("BACKEND-1.partners.internal", ["10.0.0.6", "10.0.0.7"]),
        ("api.partners.internal", ["backend-1.partners.internal.", "10.0.0.6", "10.0.0.7"]),
        ("any.apps.partners.internal", ["10.0.0.9"]),
        ("backend.ru-central1.internal", ["10.0.0.6"]),
        ("fhm-backend.auto.internal", ["10.0.0.6"]),
        ("rc1a-1.mdb.yandexcloud.net", ["10.0.1.9"]),
        ("c-1.rw.mdb.yandexcloud.net", ["10.0.1.9"]),
        ("storage.yandexcloud.net", ["198.51.100.3"]),
        ("bucket.storage.yandexcloud.net", ["198.51.100.3"]),
        ("mdb.api.cloud.yandex.net", ["198.51.100.7"]),
    ],
)
def test_names_of_the_network(known, name, expected):
    assert ask(known, name) == ("NOERROR", expected)


def test_other_types_and_reverse_names(known):
    assert ask(known, "partners.internal", "TXT") == ("NOERROR", ['"v=1 a"'])
    assert ask(known, "partners.internal", "NS") == ("NOERROR", ["ns.internal.yandexcloud.net."])
    assert ask(known, "partners.internal", "SOA")[1][0].startswith("ns.x. mx.x. 1 10800")
    assert ask(known, "_http._tcp.partners.internal", "SRV") == ("NOERROR", ["1 2 8443 backend-1.partners.internal."])
    assert ask(known, "6.0.0.10.in-addr.arpa", "PTR") == ("NOERROR", ["backend.ru-central1.internal."])


def test_a_name_without_that_type_exists_and_is_empty(known):
    assert ask(known, "backend-1.partners.internal", "AAAA") == ("NOERROR", [])
    assert ask(known, "apps.partners.internal") == ("NOERROR", [])


@pytest.mark.parametrize("name", ["nobody.partners.internal", "example.com", "x.foreign.internal", "deb.debian.org"])
def test_nothing_else_resolves(known, name):
    assert ask(known, name) == ("NXDOMAIN", [])


def test_another_network_sees_none_of_it(known):
    assert ask(known, "backend-1.partners.internal", network="another") == ("NXDOMAIN", [])


def test_a_change_of_the_file_is_answered_at_once(known):
    assert ask(known, "new.partners.internal") == ("NXDOMAIN", [])
    data = json.loads(names.file_of(Place("t")).read_text())
    data["net"]["records"]["new.partners.internal."] = {"A": [60, ["10.0.0.99"]]}
    names.write(Place("t"), data)
    assert ask(known, "new.partners.internal") == ("NOERROR", ["10.0.0.99"])


def test_a_long_answer_is_cut_over_udp_only(known):
    data = json.loads(names.file_of(Place("t")).read_text())
    data["net"]["records"]["many.internal."] = {"A": [60, [f"10.1.0.{number}" for number in range(200)]]}
    names.write(Place("t"), data)
    packet = DNSRecord.question("many.internal").pack()
    assert DNSRecord.parse(known.reply("net", packet, names.UDP_LIMIT)).header.tc
    assert len(DNSRecord.parse(known.reply("net", packet)).rr) == 200


@pytest.mark.parametrize("packet", [b"", b"\0" * 5, b"\xff" * 40, DNSRecord.question("a.b").reply().pack()])
def test_what_is_no_question_gets_no_answer(known, packet):
    assert known.reply("net", packet) is None


def test_a_circle_of_aliases_ends(known):
    data = json.loads(names.file_of(Place("t")).read_text())
    data["net"]["records"] |= {"a.x.": {"CNAME": [60, ["b.x."]]}, "b.x.": {"CNAME": [60, ["a.x."]]}}
    names.write(Place("t"), data)
    assert ask(known, "a.x")[0] == "NOERROR"


def test_who_is_outside_asks_where_it_always_asks(known, tmp_path, monkeypatch):
    """The cloud's own names and public zones, at the addresses of this machine's resolv.conf."""
    assert ask(known, "cr.yandex", network=names.INTERNET) == ("NOERROR", ["198.51.100.8"])
    assert ask(known, "www.site.example", network=names.INTERNET) == ("NOERROR", ["198.51.100.70"])
    assert ask(known, "backend-1.partners.internal", network=names.INTERNET) == ("NXDOMAIN", [])
    said = tmp_path / "resolv.conf"
    monkeypatch.setattr(names, "RESOLV_CONF", said)
    assert names.resolvers() == ["127.0.0.1"]
    said.write_text("search example\nnameserver 10.0.0.53\nnameserver fe80::1\nnameserver 10.0.0.54\n")
    assert names.resolvers() == ["10.0.0.53", "10.0.0.54"]
    entry = names.snapshot(Place("t"), topology.EMPTY, ())[names.INTERNET]
    assert (entry["netns"], entry["listen"]) == ("sc-t-internet", ["10.0.0.53", "10.0.0.54"])
