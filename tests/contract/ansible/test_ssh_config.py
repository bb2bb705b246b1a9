"""The way to the machines follows the machines: new keys of new ones, nothing of those that are gone."""

import base64
import stat
import subprocess
import time

import pytest
from ansible_runs import calls, stack

from rehearsal.cloud import server
from rehearsal.world import World

pytestmark = pytest.mark.slow

NETWORK = {
    "vpc_network": {"main": None},
    "vpc_subnet": {"a": {"network": "main", "zone": "ru-central1-a", "cidr": ["10.0.0.0/24"]}},
}


def machine(role, public=False):
    return {
        "zone": "ru-central1-a",
        "cores": 2,
        "memory": "2GB",
        "image": "debian-12",
        "disk_size": "10GB",
        "labels": {"stagecraft-role": role},
        "network_interfaces": [{"subnet": "a", "nat": public}],
    }


class Consoles(World):
    """Machines that print a host key of their own some time after they were started."""

    def __init__(self):
        self.started, self.wait, self.silent = {}, 2.0, set()

    def start_instance(self, cloud, instance):
        self.started.setdefault(instance.id, time.monotonic())

    def serial_output(self, cloud, instance):
        if instance.name in self.silent or time.monotonic() < self.started[instance.id] + self.wait:
            return "booting"
        return f"-----BEGIN SSH HOST KEY KEYS-----\n{key(instance.id)} root@x\n-----END SSH HOST KEY KEYS-----\n"


def key(instance_id):
    raw = b"\0\0\0\x0bssh-ed25519\0\0\0 " + instance_id.ljust(32).encode()[:32]
    return f"ssh-ed25519 {base64.b64encode(raw).decode()}"


@pytest.fixture(scope="module")
def world():
    return Consoles()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory, world):
    emulator = server.start(tmp_path_factory.mktemp("cloud"), world=world, delay=0.02)
    yield emulator
    emulator.stop()


@pytest.fixture
def way(tmp_path):
    """The module with the test's files; more options, and check mode, on demand."""

    def task(check=False, **options):
        files = {"path": str(tmp_path / "ssh_config"), "known_hosts": str(tmp_path / "known_hosts")}
        fixed = {
            "identity_file": str(tmp_path / "key"),
            "control_folder": str(tmp_path.parent / "cp"),
            "bastion": "bastion",
        }
        return {"stagecraft.platform.ssh_config": {**files, **fixed, **options}, "check_mode": check}

    return task


def test_keys_are_waited_for_kept_and_renewed(play, cloud, way, tmp_path):
    everything = {**NETWORK, "compute_instance": {"bastion-1": machine("bastion", True), "edge-1": machine("edge")}}
    fewer = [{"compute_instance": {"name": "edge-1", "state": "absent"}}]
    again = {**NETWORK, "compute_instance": {"edge-1": machine("edge"), "serving-1": machine("serving")}}
    run = play(
        way(),
        stack(everything),
        way(check=True),
        way(),
        way(),
        stack(fewer),
        stack(again),
        way(),
        options=("--diff",),
    )
    empty, _, would, first, second, _, _, third = run.results
    assert empty["hosts"] == [] and empty["changed"]
    assert would["changed"] and first["changed"] and would["diff"] == first["diff"]
    assert first["hosts"] == ["bastion-1", "edge-1"] and first["bastion"] == "bastion-1"
    assert not second["changed"]
    assert third["changed"] and third["hosts"] == ["bastion-1", "edge-1", "serving-1"]
    known, config = tmp_path / "known_hosts", tmp_path / "ssh_config"
    for path in (known, config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    now = {i.name: i.id for i in cloud.cloud.all("compute.v1.Instance")}
    assert all(key(ident) in known.read_text() for ident in now.values())
    assert known.read_text().count("ssh-ed25519") == 3  # nothing of the first edge-1
    # of the bastion it was read until it was there, and never again
    asked = [e for e in calls(cloud, "GetSerialPortOutput") if e["instance_id"] == now["bastion-1"]]
    assert asked[-1]["time"] < calls(cloud, "InstanceService.Create")[-1]["time"]
    text = subprocess.run(["ssh", "-G", "-F", config, "serving-1"], capture_output=True, text=True, check=True).stdout
    assert "proxyjump bastion-1" in text
    assert "+# instance" in run.output and "host keys  serving-1" in run.output


def test_what_does_not_come_is_said_and_nothing_is_written(play, cloud, way, world, tmp_path, monkeypatch):
    world.silent.add("late-1")
    monkeypatch.setattr(world, "wait", 0.0)
    machines = {"bastion-1": machine("bastion", True), "edge-1": machine("edge"), "late-1": machine("late")}
    late = {**NETWORK, "compute_instance": machines}
    gone = [{"compute_instance": {"name": "bastion-1", "state": "absent"}}]
    rest = {"name": "edge-.*|serving-.*|bastion-.*"}
    _, waited, long, deleted, without, direct = play(
        stack(late),
        way(timeout=2),
        way(filters=rest, control_folder="/" + "x" * 90),
        stack(gone),
        way(filters=rest),
        way(filters=rest, bastion="", known_hosts=str(tmp_path / "other"), path=str(tmp_path / "direct")),
    ).results
    assert "no SSH host keys on the serial port after 2 s: late-1 (" in waited["msg"]
    assert "too long for a socket" in long["msg"]
    assert deleted["changed"], deleted
    assert "no running machine has the label stagecraft-role=bastion" in without["msg"]
    assert not (tmp_path / "ssh_config").exists() and not (tmp_path / "known_hosts").exists()
    assert direct["changed"] and "ProxyJump" not in (tmp_path / "direct").read_text()
