"""The picture of a stage, as values: what is in it, and which ways the rules and roles of its declarations open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from stagecraft import stages
from stagecraft.stages import Refused, Stage
from stagecraft.topology import drawing, files
from stagecraft.topology.declared import topology
from stagecraft.topology.model import ALL, INTERNET, Place, Ports, Thing, Topology, Way


def machine(subnet: str, *groups: str, public: bool = False, **more: Any) -> dict[str, Any]:
    interface = {"subnet": subnet, "security_groups": list(groups)} | ({"nat": True} if public else {})
    return {
        "cores": 2,
        "memory": "2GB",
        "network_interfaces": [interface],
        "labels": {"stagecraft-role": groups[-1] if groups else ""},
    } | more


def rule(direction: str, port: int | None = None, **more: Any) -> dict[str, Any]:
    ports = {"ports": {"from": port, "to": port}, "protocol": "tcp"} if port else {}
    return {"direction": direction} | ports | more


def declared(*, web: list, data: list, routed: bool = True, **more: Any) -> dict[str, Any]:
    """Machines `web` with a public address and `data` without, in two zones, under these rules."""
    table = {"route_table": "out"} if routed else {}
    return {
        "vpc_network": {"main": {}, "empty": None},
        "vpc_route_table": {"out": {"network": "main", "routes": [{"destination": "0.0.0.0/0", "gateway": "nat"}]}},
        "vpc_subnet": {
            "front": {"network": "main", "zone": "z-a", "cidr": ["10.0.0.0/24"]},
            "back": {"network": "main", "zone": "z-b", "cidr": ["10.0.1.0/24"], **table},
        },
        "vpc_security_group": {"web": {"network": "main", "rules": web}, "data": {"network": "main", "rules": data}},
        "compute_instance": {"web": machine("front", "web", public=True), "data": machine("back", "data")},
    } | more


def ways(**given: Any) -> set[tuple[str, str, str]]:
    return {(way.source, way.target, how) for way in topology("demo", declared(**given), {}).ways for how in way.how}


def test_what_is_in_a_stage_and_where_it_lies():
    database = {
        "version": "15",
        "preset": "s3-c2-m8",
        "hosts": [{"zone": "z-b", "subnet": "back"}],
        "security_groups": ["data"],
    }
    made = topology("demo", declared(web=[], data=[], postgresql_cluster={"pg": database}), {"web": ("nginx",)})
    assert made.places == (
        Place("main", "network main"),
        Place("main/z-a", "z-a", "main"),
        Place("main/z-a/front", "front · 10.0.0.0/24", "main/z-a"),
        Place("main/z-b", "z-b", "main"),
        Place("main/z-b/back", "back · 10.0.1.0/24\nout through nat (NAT)", "main/z-b"),
    )
    assert made.things == (
        Thing("web", "compute_instance", "web", ("nginx", "2 cores, 2GB"), "main/z-a/front"),
        Thing("data", "compute_instance", "data", ("2 cores, 2GB",), "main/z-b/back"),
        Thing("postgresql/pg/1", "postgresql_cluster", "pg", ("PostgreSQL 15", "s3-c2-m8"), "main/z-b/back"),
    )
    assert made.ways == ()


def test_a_way_is_open_where_both_ends_let_it_through():
    out, into = rule("egress", 5432, security_group="data"), rule("ingress", 5432, security_group="web")
    assert ways(web=[out], data=[into]) == {("web", "data", "5432")}
    assert ways(web=[out], data=[]) == ways(web=[], data=[into]) == set()
    assert ways(web=[rule("egress", 5433, security_group="data")], data=[into]) == set()
    assert ways(web=[out], data=[rule("ingress", 5432, cidr=["10.0.0.0/16"])]) == {("web", "data", "5432")}
    assert ways(web=[out], data=[rule("ingress", 5432, cidr=["10.9.0.0/16"])]) == set()
    assert ways(web=[out], data=[rule("ingress", cidr=["10.0.0.0/16"])]) == {("web", "data", "5432")}
    udp = rule("ingress", 5432, security_group="web") | {"protocol": "UDP"}
    assert ways(web=[out], data=[udp]) == set()


def test_the_internet_and_named_networks_are_outside():
    public, office = rule("ingress", 443, cidr=["0.0.0.0/0"]), rule("ingress", 22, cidr=["203.0.113.0/24"])
    assert ways(web=[public, office], data=[]) == {(INTERNET, "web", "443"), ("203.0.113.0/24", "web", "22")}
    assert ways(web=[], data=[public, office]) == set()  # no public address
    out = rule("egress", 443, cidr=["0.0.0.0/0"])
    assert ways(web=[], data=[out]) == {("data", INTERNET, "443")}
    assert ways(web=[], data=[out], routed=False) == set()
    # From the internet to a machine without a public address there is no way, so who reaches it is drawn.
    assert ways(web=[out], data=[public]) == {("web", INTERNET, "443"), ("web", "data", "443")}
    assert ways(web=[public], data=[out]) == {(INTERNET, "web", "443"), ("data", INTERNET, "443")}
    assert ways(web=[rule("ingress", 443, cidr=["::/0"])], data=[]) == {(INTERNET, "web", "443")}
    half = rule("ingress", 22, cidr=["0.0.0.0/1"])  # the machines' own networks, and half of the internet
    assert ways(web=[half], data=[]) == {("0.0.0.0/1", "web", "22")}


def test_what_the_cloud_names_is_outside_and_needs_no_public_address():
    checks = rule("ingress", 8080, predefined="LOADBALANCER_HEALTHCHECKS")
    assert ways(web=[], data=[checks]) == {("load balancer's health checks", "data", "8080")}
    assert ways(web=[], data=[rule("ingress", 1, predefined="something_new")]) == {("something_new", "data", "1")}
    assert ways(web=[], data=[rule("ingress", 1, security_group="enp0other")]) == {("group enp0other", "data", "1")}


def test_without_a_security_group_everything_is_open():
    bare = {"web": machine("front", public=True), "data": machine("back"), "more": machine("back", "data")}
    given = declared(web=[], data=[], compute_instance=bare)
    made = topology("demo", given, {})
    assert {(way.source, way.target, *way.how) for way in made.ways} == {
        (INTERNET, "web", "any"), ("web", INTERNET, "any"), ("data", INTERNET, "any"), ("web", "data", "any"),
    }  # fmt: skip
    about = {thing.label: thing.about[-1] for thing in made.things if thing.kind == "compute_instance"}
    assert about["web"] == about["data"] == "no security group" and about["more"] != "no security group"


def test_every_interface_and_every_network_of_a_subnet_counts():
    given = declared(web=[], data=[rule("ingress", 22, cidr=["0.0.0.0/0"])])
    given["vpc_subnet"]["front"]["cidr"].append("10.7.0.0/24")
    out, into = rule("egress", 1, security_group="data"), rule("ingress", 1, cidr=["10.7.0.0/16"])
    given["vpc_security_group"]["web"]["rules"] = [out]
    given["vpc_security_group"]["data"]["rules"].append(into)
    second = {"subnet": "front", "security_groups": ["data"], "nat": True}
    given["compute_instance"]["data"]["network_interfaces"].append(second)
    made = topology("demo", given, {})
    assert {(way.source, way.target, *way.how) for way in made.ways} == {(INTERNET, "data", "22"), ("web", "data", "1")}
    assert "also in front" in next(thing for thing in made.things if thing.id == "data").about


def test_what_lies_nowhere_is_refused():
    given = declared(web=[], data=[])
    given["compute_instance"]["web"] = machine("middle", "web")
    with pytest.raises(Refused, match="web lies in the subnet middle, which is not declared. There are: front, back"):
        topology("demo", given, {})


def test_a_rule_that_is_not_understood_is_refused():
    given = declared(web=[], data=[])
    given["compute_instance"]["web"] = machine("front", "enp0other")
    with pytest.raises(Refused, match="web has the security group enp0other, which is not declared"):
        topology("demo", given, {})
    with pytest.raises(Refused, match="a rule of vpc_security_group web names no cidr"):
        topology("demo", declared(web=[rule("ingress", 22)], data=[]), {})


def test_what_is_open_for_every_machine_is_drawn_once():
    many = {name: machine("back", "data") for name in ("a", "b", "c")}
    given = declared(web=[rule("egress", 22, cidr=["10.0.0.0/16"])], data=[rule("ingress", 22, security_group="web")])
    given["compute_instance"] |= many
    made = topology("demo", given, {})
    assert made.ways == (Way("web", ALL, ("22",)),)
    assert Thing(ALL, ALL, "every machine", place="main") in made.things
    given["vpc_security_group"]["closed"] = {"network": "main", "rules": []}
    given["compute_instance"]["other"] = machine("front", "closed")
    assert {way.target for way in topology("demo", given, {}).ways} == {"data", "a", "b", "c"}


def test_services_are_reached_by_who_was_given_a_role():
    given = {
        "storage_bucket": [
            {"name": "models", "access": [{"role": "storage.viewer", "service_account": "app"}]},
            {"name": "own"},
        ],
        "serverless_container": {
            "api": {"service_account": "app", "access": [{"role": "invoker", "service_account": "gate"}]}
        },
        "api_gateway": {"entry": {"service_account": "gate"}},
        "lockbox_secret": {"used": {"access": [{"role": "lockbox.viewer", "service_account": "ci"}]}, "unused": None},
        "iam_folder_binding": [
            {"service_account": "ci", "role": "storage.editor"},
        ],
    }
    made = topology("demo", given, {})
    assert set(made.ways) == {
        Way(INTERNET, "api_gateway/entry", ("443",)),
        Way("api_gateway/entry", "serverless_container/api", ("443 invoker",)),
        Way("serverless_container/api", "storage_bucket/models", ("443 storage.viewer",)),
        Way("account/ci", "lockbox_secret/used", ("443 lockbox.viewer",)),
        Way("account/ci", "storage_bucket/models", ("443 storage.editor",)),
        Way("account/ci", "storage_bucket/own", ("443 storage.editor",)),
    }
    assert {thing.id for thing in made.things} == {end for way in made.ways for end in (way.source, way.target)}


def test_a_role_on_the_folder_is_drawn_to_all_that_it_opens():
    database = {"hosts": [{"zone": "z-b", "subnet": "back"}], "security_groups": ["data"]}
    services = {
        "storage_bucket": {"models": {}},
        "lockbox_secret": {"password": {}},
        "kms_symmetric_key": {"data": {}},
        "postgresql_cluster": {"pg": database},
    }
    every = {
        "storage_bucket/models",
        "lockbox_secret/password",
        "kms_symmetric_key/data",
        "postgresql/pg/1",
        "the folder",
    }
    for role, opened in (
        ("editor", every),
        ("viewer", every),
        ("lockbox.payloadViewer", {"lockbox_secret/password"}),
        ("managed-postgresql.auditor", {"postgresql/pg/1"}),
        ("logging.writer", {"the folder"}),  # no log group is declared
        ("compute.admin", {"the folder"}),
    ):
        for given in (
            {"iam_folder_binding": [{"service_account": "ci", "role": role}]},
            {"iam_folder_roles": [{"service_account": "ci", "roles": [role]}]},
        ):
            made = topology("demo", declared(web=[], data=[], **services, **given), {})
            assert {(way.source, way.target, way.how) for way in made.ways} == {
                ("account/ci", target, (f"443 {role}",)) for target in opened
            }, role
            assert opened <= {thing.id for thing in made.things}


def test_what_is_open_to_everybody_is_drawn_from_the_internet():
    given = {
        "storage_bucket": {
            "site": {"anonymous_access": {"read": True, "list": False}},
            "drop": {"acl": [{"permission": "write", "type": "all_users"}]},
            "own": {"acl": [{"permission": "read", "type": "account", "service_account": "app"}]},
        },
        "serverless_container": {"api": {"access": [{"role": "invoker", "everybody": "all_users"}]}},
        "containerregistry_repository": [
            {"registry": "one", "name": "api", "access": [{"role": "puller", "everybody": "all_users"}]},
            {"registry": "two", "name": "api"},
        ],
    }
    assert set(topology("demo", given, {}).ways) == {
        Way(INTERNET, "storage_bucket/site", ("443 anonymous read",)),
        Way(INTERNET, "storage_bucket/drop", ("443 write",)),
        Way("account/app", "storage_bucket/own", ("443 read",)),
        Way(INTERNET, "serverless_container/api", ("443 invoker",)),
        Way(INTERNET, "containerregistry_repository/one/api", ("443 puller",)),
    }


def test_ports_as_they_are_written():
    assert [str(Ports(*one)) for one in (("tcp", 80, 80), ("udp", 53, 53), ("tcp", 1, 9), ("any",), ("icmp",))] == [
        "80", "udp 53", "1–9", "any", "icmp",
    ]  # fmt: skip


def test_the_partners_stage_as_it_is_declared():
    made = files.of(Stage("partners"))
    drawn = {(way.source, way.target): way.how for way in made.ways}
    operators = next(thing for thing in made.things if thing.label == "operators")
    assert drawn[operators.id, "bastion-1"] == ("22",) and drawn["bastion-1", ALL] == ("22",)
    assert drawn[INTERNET, "edge-1"] == ("80, 443",)
    for backend in ("backend-1", "backend-2"):
        assert drawn["edge-1", backend] == ("8443",) and drawn[backend, "serving-1"] == ("8001",)
        assert drawn[backend, "postgresql/main/1"] == ("6432",)
        assert (INTERNET, backend) not in drawn and (backend, "edge-1") not in drawn
    assert drawn["serving-1", "storage_bucket/partners-<folder>"] == ("443 storage.viewer",)
    assert drawn["monitoring-1", "postgresql/main/1"] == ("6432", "443 managed-postgresql.auditor")


def test_a_picture_is_of_one_topology_only():
    one = Topology("demo", things=(Thing('a "b" \\n <i>', "outside", 'a "b" \\n <i>'),), ways=())
    assert r'"a \"b\" \\n <i>"' in drawing.source(one)
    assert drawing.folded("443 kms.keys.encrypterDecrypter") == ["443 kms.keys.", "encrypterDecrypter"]
    assert drawing.digest(one) != drawing.digest(replace(one, ways=(Way("a", "b", ("1",)),)))


@pytest.mark.skipif(not drawing.installed(), reason="Graphviz is not installed (make system)")
def test_it_is_drawn_as_one_element_for_a_page():
    made = topology("demo", declared(web=[rule("ingress", 443, cidr=["0.0.0.0/0"])], data=[]), {"web": ("<script>",)})
    text = drawing.svg(made)
    root = ElementTree.fromstring(text)
    assert text.startswith("<svg ") and root.tag.endswith("svg") and "<script>" not in text
    words = [found.text for found in root.iter() if found.tag.endswith("text")]
    assert {"web", "data", "internet", "network main", "z-a", "<script>"} <= {word.strip() for word in words if word}
    assert drawing.DIGEST.search(text)[1] == drawing.digest(made)


def test_without_graphviz_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Refused, match="Graphviz, which is not installed: `make system`"):
        drawing.svg(Topology("demo"))


def test_a_stale_picture_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    monkeypatch.setattr(files, "of", lambda stage: Topology(stage.name))
    (tmp_path / files.IMAGES).mkdir(parents=True)
    picture = tmp_path / files.IMAGES / "demo.svg"
    with pytest.raises(Refused, match="docs/images/demo.svg is missing. Run make topology STAGE=demo"):
        files.check(Stage("demo"))
    picture.write_text(f"<svg><!-- drawn of {'0' * 64} -->\n</svg>")
    with pytest.raises(Refused, match="docs/images/demo.svg is not what the stage declares"):
        files.check(Stage("demo"))
    picture.write_text(f"<svg><!-- drawn of {drawing.digest(Topology('demo'))} -->\n</svg>")
    files.check(Stage("demo"))
