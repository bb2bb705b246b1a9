"""The instances of a folder as inventory, by `ansible-inventory`."""

import subprocess

import pytest
import yaml
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import ask
from ansible_runs import ROOT, calls, command

MACHINE = {
    "zone": "ru-central1-a",
    "cores": 2,
    "memory": "2GB",
    "image": "debian-12",
    "disk_size": "10GB",
    "network_interfaces": [{"subnet": "a", "nat": False}],
}
CONFIG = {
    "plugin": "stagecraft.platform.yc_compute",
    "filters": {"labels": {"stagecraft-stage": "partners"}},
    "keyed_groups": [{"key": "yc_labels['stagecraft-role']", "prefix": "", "separator": ""}],
    "groups": {"machines": "true", "public": "yc_public_ip != ''"},
    "compose": {"ansible_host": "yc_private_ip"},
}


@pytest.fixture(scope="module")
def connection(cloud):
    return {
        "endpoint": cloud.env["YC_ENDPOINT"],
        "root_certificates": cloud.env["YC_ROOT_CERTIFICATES"],
        "service_account_key_file": cloud.env["YC_SERVICE_ACCOUNT_KEY_FILE"],
        "folder": cloud.env["YC_FOLDER_ID"],
    }


@pytest.fixture
def inventory(variables, tmp_path):
    def run(config=CONFIG, **env):
        file = tmp_path / "yc_compute.yml"
        file.write_text(yaml.safe_dump(config))
        done = subprocess.run(
            [command("ansible-inventory"), "-i", str(file), "--list", "--yaml"],
            cwd=ROOT,
            env={k: v for k, v in (variables | env).items() if v},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return (yaml.safe_load(done.stdout) if done.returncode == 0 else None), done.stderr

    return run


def hosts(found, group=None):
    """Hosts with their variables; a host's variables stand in the first group that has it."""
    groups = (found.get("all") or {}).get("children") or {}
    everywhere = {}
    for its in groups.values():
        for name, variables in (its.get("hosts") or {}).items():
            everywhere[name] = everywhere.get(name) or variables
    return everywhere if group is None else {name: everywhere[name] for name in groups[group]["hosts"]}


def test_empty_then_grouped_then_cached(inventory, cloud, connection, tmp_path):
    empty, _ = inventory()
    assert not hosts(empty)
    machines = {
        "edge-1": {
            **MACHINE,
            "labels": {"stagecraft-role": "edge"},
            "network_interfaces": [{"subnet": "a", "nat": True}],
        },
        "backend-1": {**MACHINE, "labels": {"stagecraft-role": "backend"}},
        "backend-2": {**MACHINE, "labels": {"stagecraft-role": "backend"}},
    }
    declared = {
        "vpc_network": {"main": None},
        "vpc_subnet": {"a": {"network": "main", "zone": "ru-central1-a", "cidr": ["10.0.0.0/24"]}},
        "compute_instance": machines,
    }
    more = {"state": "present", "check": False, "workers": 8, "app": None, "prune": False, "stage": "partners"}
    made = ask("stack", {"connection": connection, "resources": declared, **more})
    assert not [row for row in made["results"] if "error" in row]
    stranger = {"compute_instance": {"stranger": MACHINE}}
    ask("stack", {"connection": connection, "resources": stranger, **more, "stage": None})

    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path)}
    cached = {**CONFIG, **cache, "fields": ["resources", "created_at"]}
    found, _ = inventory(cached)
    assert sorted(hosts(found)) == sorted(hosts(found, "machines")) == ["backend-1", "backend-2", "edge-1"]
    assert sorted(hosts(found, "backend")) == ["backend-1", "backend-2"] and list(hosts(found, "public")) == ["edge-1"]
    edge = hosts(found)["edge-1"]
    assert edge["ansible_host"] == edge["yc_private_ip"] and edge["yc_private_ip"].startswith("10.0.0.")
    assert edge["yc_public_ip"] and edge["yc_status"] == "running" and edge["yc_zone"] == "ru-central1-a"
    assert edge["yc_resources"]["cores"] == 2 and edge["yc_created_at"].startswith("20")

    asked = len(calls(cloud, "InstanceService.List"))
    again, _ = inventory(cached)
    assert again == found and len(calls(cloud, "InstanceService.List")) == asked
    other, said = inventory(
        {**cached, "required": True}, YC_FOLDER_ID="b1gother"
    )  # never another folder's machines from a cache
    assert other is None and "b1gother" in said


@pytest.mark.parametrize(
    ("config", "env", "texts"),
    [
        ({"retry_time": 1}, {"YC_ENDPOINT": "127.0.0.1:9"}, ["UNAVAILABLE", "127.0.0.1:9"]),
        ({}, {"YC_SERVICE_ACCOUNT_KEY_FILE": ""}, ["no credentials", "YC_SERVICE_ACCOUNT_KEY_FILE"]),
    ],
)
def test_what_cannot_work_is_one_message(inventory, config, env, texts):
    found, said = inventory({**CONFIG, **config, "required": True}, **env)
    assert found is None
    for text in texts:
        assert text in said, said
    assert said.count("yc_compute: ") == 1 and "Traceback" not in said, said


def test_where_hosts_are_not_required_ansible_warns_and_goes_on(inventory):
    found, said = inventory({**CONFIG, "retry_time": 1}, YC_ENDPOINT="127.0.0.1:9")
    assert not hosts(found)
    assert "UNAVAILABLE" in said
