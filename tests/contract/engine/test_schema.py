"""The schema and the engine agree: what the engine builds fits the schema, and a wrong declaration is refused by both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import options
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from engine_runs import Engine, case, kind_of

from stagecraft.schema import inventories
from stagecraft.stages import ROOT

SCHEMA = json.loads((ROOT / inventories.FOLDER / inventories.VARIABLES).read_text())
SUBNET = {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.0.0.0/24"]}
CONTAINER = {"name": "api", "image": "cr.yandex/registry/api:1", "memory": "512MB", "cores": 1}
MACHINE = {"name": "m", "zone": "ru-central1-a", "cores": 2, "memory": "2GB", "image": "debian-12", "disk_size": "10GB",
           "network_interfaces": [{"subnet": "a"}]}  # fmt: skip
USER = {"cluster": "pg", "name": "app"}
RULE = {"direction": "ingress", "protocol": "tcp", "ports": {"from": 80, "to": 80}, "cidr": ["0.0.0.0/0"]}


def group(**rule: Any) -> dict[str, Any]:
    return {"name": "g", "network": "main", "rules": [RULE | rule]}


def said(*declarations: dict[str, Any]) -> list[str]:
    """What the schema says against declarations, as a list that the engine takes, and as a mapping by kind."""
    by_kind: dict[str, list] = {}
    for declaration in declarations:
        for kind, values in declaration.items():
            by_kind.setdefault(kind, []).append(values)
    given = [{"stage_resources": list(declarations)}, {"stage_resources": by_kind}]
    found = [[message for *_, message in inventories.explained(SCHEMA, one)] for one in given]
    assert bool(found[0]) == bool(found[1]), found
    return found[1]


@pytest.mark.parametrize("kind", sorted(r.kind for r in ALL))
def test_what_the_engine_builds_fits(kind):
    life, resource = case(kind), kind_of(kind)
    pairs = options.exclusive(resource.backend(None, resource, {}).bound)
    sets = [step["set"] for step in life.get("update", [])] + [{n: v} for n, v in life.get("clear", {}).items()]
    changed = []
    for given in sets:
        instead = {n for pair in pairs if set(pair) & set(given) for n in pair} - set(given)
        changed.append({n: v for n, v in life["create"].items() if n not in instead} | given)
    assert said(*life.get("needs", []), *({kind: one} for one in [life["create"], *changed])) == []


@pytest.mark.parametrize(("kind", "values", "says"), [
    ("vpc_subnet", SUBNET | {"zoen": "b"}, "has no option zoen. Did you mean zone? There are: "),
    ("vpc_subnet", SUBNET | {"cidr": ["10.0.0.0"]}, "is '10.0.0.0'; it has to be a network such as 10.10.1.0/24"),
    ("vpc_subnet", SUBNET | {"cidr": ["10.0.0.300/24"]}, "it has to be a network"),
    ("vpc_subnet", SUBNET | {"cidr": "10.0.0.0"}, "it has to be a list, each a network"),
    ("vpc_subnet", {"name": "a", "network": "main", "zone": "ru-central1-a"}, "cidr is missing"),
    ("vpc_subnet", {n: v for n, v in SUBNET.items() if n != "name"}, "name is missing"),
    ("vpc_security_group", group(ports={"from": 80, "to": 65536}), "it has to be a port, from 0 to 65535"),
    ("vpc_security_group", group(ports={"from": "http", "to": 80}), "it has to be a port"),
    ("vpc_security_group", group(ports={"from": 80}), "to is missing"),
    ("vpc_security_group", group(direction="sideways"), "it has to be one of egress, ingress"),
    ("vpc_security_group", group(port=80), "has no option port. Did you mean ports?"),
    ("vpc_security_group", group() | {"rules": {"ssh": RULE}}, "it has to be a list"),
    ("vpc_security_group", group() | {"state": "here"}, "it has to be one of present, absent, info"),
    ("vpc_route_table", {"name": "r", "network": "main", "routes": [{"gateway": "g"}]}, "destination is missing"),
    ("compute_instance", MACHINE | {"memory": "much"}, "memory is 'much'; it has to be a size such as 20GB"),
    ("compute_instance", MACHINE | {"memory": "2Gb"}, "it has to be a size"),
    ("compute_instance", MACHINE | {"cores": "two"}, "it has to be a whole number"),
    ("compute_instance", MACHINE | {"cores": 1.5}, "it has to be a whole number"),
    ("compute_instance", MACHINE | {"preemptible": "perhaps"}, "it has to be true or false"),
    ("compute_instance", MACHINE | {"network_interfaces": [{"nat": True}]}, "subnet is missing"),
    ("compute_instance", MACHINE | {"labels": ["a"]}, "it has to be a mapping"),
    ("compute_instance", {n: v for n, v in MACHINE.items() if n != "image"}, "image is missing"),
    ("postgresql_user", USER, "it takes password or password_secret"),
    ("postgresql_user", USER | {"password": "x" * 12, "password_secret": {"secret": "s"}}, "key is missing"),
    ("postgresql_user", USER | {"password": "x" * 12, "password_secret": {"secret": "s", "key": "k"}}, "not both"),
    ("postgresql_user", USER | {"password": "x" * 12, "settings": {"pool_mode": "deep"}}, "one of session, statement"),
    ("postgresql_user", {"name": "app", "password": "x" * 12}, "cluster is missing"),
    ("serverless_container", CONTAINER | {"concurrency": 0}, "it has to be a whole number from 1 to 16"),
    ("serverless_container", CONTAINER | {"core_fraction": 101}, "it has to be a whole number from 5 to 100"),
    ("serverless_container", CONTAINER | {"execution_timeout": "soon"}, "it has to be a duration such as 30s"),
    ("storage_bucket", {"name": "b", "versioning": "sometimes"}, "it has to be one of "),
    ("storage_bucket", {"name": "b", "encryption": [{"algorithm": "aws:kms"}]}, "kms_key is missing"),
    ("lockbox_secret", {"name": "s", "generate": {"lenght": 8, "key": "k"}}, "Did you mean length?"),
    ("dns_record_set", {"dns_zone": "z", "name": "a.b.", "type": "A", "ttl": "a while"}, "it has to be a duration"),
    ("vpc_netwrok", {"name": "main"}, "has no option vpc_netwrok. Did you mean vpc_network?"),
])  # fmt: skip
def test_a_wrong_declaration_is_refused_by_both(engine: Engine, kind, values, says):
    with pytest.raises(Fail) as refused:
        engine.apply(kind, values, check=True)
    assert "fault of stagecraft" not in str(refused.value)
    assert any(says in message for message in said({kind: values})), said({kind: values})


def test_a_template_may_stand_wherever_a_value_is():
    templated = {name: "{{ anything }}" for name in MACHINE if name != "network_interfaces"}
    inside = {"subnet": "{{ here }}-a", "nat": "{{ public | bool }}", "security_groups": "{{ groups }}"}
    assert said({"compute_instance": templated | {"network_interfaces": "{{ them }}"}}) == []
    assert said({"compute_instance": templated | {"network_interfaces": [inside, "{{ another }}"]}}) == []
    ports = {"from": "{{ port }}", "to": "{{ port }}"}
    rule = {"direction": "{{ way }}", "ports": ports, "cidr": ["{{ network }}/24"]}
    assert said({"vpc_security_group": group(**rule)}) == []
