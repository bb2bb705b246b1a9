"""Operations: they take time, fail, get lost, hang, and survive the death of the emulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from cloud_client import Client, Failed

from rehearsal.cloud import admin, server
from rehearsal.cloud.journal import summary

Code = grpc.StatusCode
ROOT = Path(__file__).parents[3]


def test_an_operation_takes_its_time(emulator, client):
    emulator.cloud.delay = 1.5
    networks = client.api("vpc.v1.Network")
    started = time.monotonic()
    operation = networks.start("Create", folder_id=client.folder, name="main")
    assert not operation.done and not client.operation(operation.id).done
    assert [n.name for n in networks.List(folder_id=client.folder).networks] == ["main"]
    client.result(operation, networks.methods["Get"].output_type)
    assert time.monotonic() - started >= 1.5
    with pytest.raises(grpc.RpcError) as caught:
        client.operation("enpnothing")
    assert caught.value.code() is Code.NOT_FOUND


def test_a_resource_is_busy_while_the_world_works(client, world):
    """And the cloud goes on answering: it is not locked meanwhile."""
    subnet = client.subnet(client.network())
    world.gate.clear()
    instances = client.api("compute.v1.Instance")
    operation = instances.start("Create", **client.instance_values(subnet, "vm"))
    instance = instances.List(folder_id=client.folder).instances[0]
    assert instance.status == instance.PROVISIONING
    with pytest.raises(Failed, match=operation.id) as caught:
        instances.Delete(instance_id=instance.id)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert not client.operation(operation.id).done
    world.gate.set()
    assert client.result(operation, instances.methods["Get"].output_type).status == instance.RUNNING


def test_the_network_is_ready_before_a_machine_starts_and_after_it_is_gone(client, world):
    subnet = client.subnet(client.network())
    world.calls.clear()
    instance = client.instance(subnet, "vm")
    assert world.calls == ["sync_network", "start_instance vm"]
    world.calls.clear()
    client.api("compute.v1.Instance").Delete(instance_id=instance.id)
    assert world.calls == ["delete_instance vm", "sync_network"]


def test_what_cannot_be_made_is_said_and_taken_away(emulator, client, world):
    subnet = client.subnet(client.network())
    world.broken.add("start_instance")
    with pytest.raises(Failed, match="start_instance vm cannot be done") as caught:
        client.instance(subnet, "vm")
    assert caught.value.operation and caught.value.code is Code.INTERNAL
    assert not emulator.cloud.all("compute.v1.Instance") and not emulator.cloud.all("compute.v1.Disk")
    assert "delete_instance vm" in world.calls
    world.broken.clear()
    assert client.instance(subnet, "vm").name == "vm"


def test_a_failed_change_is_undone(emulator, client):
    network = client.network()
    emulator.faults.add("vpc.v1.NetworkService.Update", effect="fail_operation", code="ABORTED", message="no luck")
    networks = client.api("vpc.v1.Network")
    with pytest.raises(Failed, match="no luck") as caught:
        networks.Update(network_id=network.id, description="new", mask="description")
    assert caught.value.operation and caught.value.code is Code.ABORTED
    assert networks.Get(network_id=network.id).description == ""
    emulator.faults.add("*NetworkService.Delete", effect="fail_operation", code="INTERNAL")
    with pytest.raises(Failed):
        networks.Delete(network_id=network.id)
    assert networks.Get(network_id=network.id).id == network.id
    networks.Delete(network_id=network.id)


def test_faults_are_counted_and_fit_methods(emulator, client):
    networks = client.api("vpc.v1.Network")
    emulator.faults.add("vpc.v1.*.List", code="UNAVAILABLE", count=2)
    for _ in range(2):
        with pytest.raises(Failed, match="UNAVAILABLE"):
            networks.List(folder_id=client.folder)
    assert not networks.List(folder_id=client.folder).networks
    emulator.faults.add("*", code="RESOURCE_EXHAUSTED", count=None)
    with pytest.raises(Failed, match="RESOURCE_EXHAUSTED"):
        networks.List(folder_id=client.folder)
    emulator.faults.clear()
    emulator.faults.add("*List", effect="slow", delay=0.3)
    started = time.monotonic()
    networks.List(folder_id=client.folder)
    assert time.monotonic() - started >= 0.3
    with pytest.raises(ValueError, match="NO_SUCH"):
        emulator.faults.add("*", code="NO_SUCH")
    with pytest.raises(ValueError, match="explode"):
        emulator.faults.add("*", effect="explode")


def test_a_lost_answer_leaves_the_work_done(emulator, client):
    emulator.faults.add("*NetworkService.Create", effect="lose")
    networks = client.api("vpc.v1.Network")
    values = {"folder_id": client.folder, "name": "main"}
    with pytest.raises(Failed, match="UNAVAILABLE"):
        networks.start("Create", idempotency_key="a-key", **values)
    again = networks.start("Create", idempotency_key="a-key", **values)
    assert client.result(again, networks.methods["Get"].output_type).name == "main"
    assert len(emulator.cloud.all("vpc.v1.Network")) == 1


def test_an_operation_can_hang_until_the_fault_is_cleared(emulator, client):
    emulator.faults.add("*NetworkService.Create", effect="hang_operation")
    operation = client.api("vpc.v1.Network").start("Create", folder_id=client.folder, name="main")
    time.sleep(0.4)
    assert not client.operation(operation.id).done
    emulator.faults.clear()
    time.sleep(0.4)
    assert client.operation(operation.id).done


def test_the_side_door(emulator, client):
    admin.ask(emulator.folder, "faults.add", method="*NetworkService.List", code="ABORTED")
    assert admin.ask(emulator.folder, "faults.list")[0]["code"] == "ABORTED"
    with pytest.raises(Failed, match="ABORTED"):
        client.api("vpc.v1.Network").List(folder_id=client.folder)
    admin.ask(emulator.folder, "faults.clear")
    client.network()
    status = admin.ask(emulator.folder, "status")
    assert status["resources"]["vpc.v1.Network"] == 1 and status["pending"] == []
    assert status["calls"]["refusals"] == {"vpc.v1.NetworkService.List ABORTED": 1}
    assert status["calls"] == summary(emulator.journal.entries())
    for order in ({"call": "explode"}, {"call": "faults.add", "method": "*", "colour": "red"}):
        with pytest.raises(admin.AdminError):
            admin.ask(emulator.folder, **order)
    assert (emulator.folder / admin.NAME).stat().st_mode & 0o077 == 0


def test_only_one_emulator_a_folder(emulator):
    with pytest.raises(OSError, match="already"):
        server.start(emulator.folder)


def test_a_taken_address_is_said(emulator, tmp_path):
    port = emulator.address.rpartition(":")[2]
    command = [sys.executable, "-m", "rehearsal.cloud", "--folder", str(tmp_path / "other"), "--port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and f"cannot listen on {emulator.address}" in done.stderr
    assert "Traceback" not in done.stderr


def spawn(folder: Path, *more: str) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "rehearsal.cloud", "--folder", str(folder), *more]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("ready "), line
    return process, line.split()[1]


def test_state_and_work_survive_a_killed_process(tmp_path):
    process, address = spawn(tmp_path, "--delay", "0.4")
    env = json.loads((tmp_path / "env.json").read_text())
    assert env["YC_ENDPOINT"] == address
    client = Client(env)
    subnet = client.subnet(client.network())
    operation = client.api("compute.v1.Instance").start("Create", **client.instance_values(subnet, "vm"))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process, address = spawn(tmp_path)
    client = Client(env | {"YC_ENDPOINT": address})
    instances = client.api("compute.v1.Instance")
    made = client.result(operation, instances.methods["Get"].output_type)
    assert made.name == "vm" and made.status == made.RUNNING and made.network_interfaces[0].subnet_id == subnet.id
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not (tmp_path / admin.NAME).exists()


def test_a_restart_resumes_the_world(tmp_path, world):
    first = server.start(tmp_path, world=world)
    assert world.calls == []
    env = first.env
    Client(env).network()
    first.stop()
    world.calls.clear()
    second = server.start(tmp_path, world=world)
    assert world.calls == ["resume", "sync_network"]
    assert second.env == env | {"YC_ENDPOINT": second.address}
    assert [n.name for n in second.cloud.all("vpc.v1.Network")] == ["main"]
    second.stop()


def test_few_operations_can_be_cancelled(emulator, client):
    emulator.cloud.delay = 30
    disks = client.api("compute.v1.Disk")
    values = {"folder_id": client.folder, "name": "d", "zone_id": "ru-central1-a", "size": 10 << 30}
    operation = disks.start("Create", **values)
    client.api("operation.Operation").start("Cancel", operation_id=operation.id)
    with pytest.raises(Failed, match="cancelled") as caught:
        client.result(operation, disks.methods["Get"].output_type)
    assert caught.value.code is Code.CANCELLED and not emulator.cloud.all("compute.v1.Disk")
    network = client.api("vpc.v1.Network").start("Create", folder_id=client.folder, name="main")
    for ident, words in ((network.id, "cannot be cancelled"), (operation.id, "is done")):
        with pytest.raises(Failed, match=words) as caught:
            client.api("operation.Operation").start("Cancel", operation_id=ident)
        assert caught.value.code is Code.FAILED_PRECONDITION
    with pytest.raises(Failed, match="NOT_FOUND"):
        client.api("operation.Operation").start("Cancel", operation_id="fhmnothing")


def test_work_that_was_under_way_when_it_was_cancelled_is_undone(emulator, client):
    emulator.faults.add("*DiskService.Create", effect="hang_operation")
    disks = client.api("compute.v1.Disk")
    values = {"folder_id": client.folder, "name": "d", "zone_id": "ru-central1-a", "size": 10 << 30}
    operation = disks.start("Create", **values)
    client.api("operation.Operation").start("Cancel", operation_id=operation.id)
    with pytest.raises(Failed, match="CANCELLED"):
        client.result(operation, disks.methods["Get"].output_type)
    assert disks.Create(**values).name == "d"


def test_what_was_made_is_not_shown_at_once(emulator, client):
    """As an eventually consistent service does; the name is taken all the same."""
    networks = client.api("vpc.v1.Network")
    emulator.cloud.lag = 0.5
    made = client.network()
    assert not networks.List(folder_id=client.folder).networks
    with pytest.raises(Failed, match="NOT_FOUND"):
        networks.Get(network_id=made.id)
    with pytest.raises(Failed, match="ALREADY_EXISTS"):
        client.network()
    time.sleep(0.6)
    assert networks.Get(network_id=made.id).name == "main"
    assert [n.name for n in networks.List(folder_id=client.folder).networks] == ["main"]


def test_faults_by_chance_are_the_same_for_the_same_seed(emulator):
    rows = []
    for _ in range(2):
        emulator.faults.random.seed(7)
        fault = emulator.faults.add("a.*", chance=0.3, count=None)
        rows.append([emulator.faults.take("a.b", "refuse") is not None for _ in range(200)])
        assert 30 < fault.taken < 90 and fault.taken == sum(rows[-1])
        emulator.faults.clear()
    assert rows[0] == rows[1]
    with pytest.raises(ValueError, match="chance"):
        emulator.faults.add("*", chance=0)
