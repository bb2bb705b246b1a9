"""A stage's machines, expanded."""

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.stagecraft.platform.plugins.filter import stage

MACHINES = {
    "edge": {
        "count": 1,
        "zones": ["ru-central1-a"],
        "subnet": "public",
        "address": "edge",
        "memory": "2GB",
        "cores": 2,
    },
    "backend": {"count": 3, "zones": ["ru-central1-a", "ru-central1-b"], "subnet": "private", "gpus": 0},
}


def test_names_and_zones_in_turn():
    made = stage.instances(MACHINES, "debian-12", "#cloud-config\n")
    assert list(made) == ["edge-1", "backend-1", "backend-2", "backend-3"] == stage.machine_names(MACHINES)
    assert [made[f"backend-{i}"]["zone"][-1] for i in (1, 2, 3)] == ["a", "b", "a"]
    assert made["backend-2"]["network_interfaces"] == [{"subnet": "private-b", "security_groups": ["base", "backend"]}]


def test_what_is_not_said_is_not_sent():
    made = stage.instances(MACHINES, "debian-12", "")
    assert "gpus" not in made["backend-1"] and "memory" not in made["backend-1"]
    assert made["edge-1"]["network_interfaces"][0]["public_address"] == "edge"
    assert made["edge-1"]["labels"] == {"stagecraft-role": "edge"}


def test_a_misspelled_field_is_refused():
    with pytest.raises(AnsibleFilterError, match="machines.edge: nothing reads memmory"):
        stage.machine_names({"edge": {"zones": ["ru-central1-a"], "memmory": "2GB"}})


@pytest.mark.parametrize(
    ("machines", "says"),
    [
        (
            {"edge": {"zones": ["ru-central1-a"], "count": -1}},
            "machines.edge: count is '-1'; give the number of machines",
        ),
        ({"edge": {"zones": ["ru-central1-a"], "count": "two"}}, "machines.edge: count is 'two'"),
        ({"edge": {"zones": "ru-central1-a"}}, "machines.edge: zones is a list, and this is 'ru-central1-a'"),
        ({"edge": None}, "machines.edge: a dictionary is needed, and this is None"),
        ("x", "machines: a dictionary by role is needed, and this is 'x'"),
        ({"edge": {"zones": ["ru-central1-a"], "coers": 4}}, r"nothing reads coers \(did you mean cores"),
    ],
)
def test_machines_that_cannot_be_are_refused(machines, says):
    with pytest.raises(AnsibleFilterError, match=says):
        stage.machine_names(machines)


def test_a_machine_without_a_zone_is_refused():
    with pytest.raises(AnsibleFilterError, match="machines.edge: zones is empty"):
        stage.machine_names({"edge": {"count": 1}})


def test_records_and_certificates_carry_the_private_name():
    (first, *_) = stage.machine_records(MACHINES, "internal", "partners.internal")
    assert first == {
        "dns_zone": "internal",
        "name": "edge-1.partners.internal.",
        "type": "A",
        "ttl": "1m",
        "instances": ["edge-1"],
    }
    names = stage.certificate("edge-1", "ca", "partners.internal", {"edge": ["api.example.com"]})["names"]
    assert names == ["edge-1.partners.internal", "localhost", "api.example.com"]
