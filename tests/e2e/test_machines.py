"""Real machines on real networks behind the emulated cloud: packets, names, provisioning, and the end of it all."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sdk_calls import Caller
from small_vpc import GB, SmallVpc
from waiting import wait_for

from rehearsal import environment, forward, lifecycle, places, processes
from rehearsal.cloud import metadata
from rehearsal.world import shell

pytestmark = [pytest.mark.root, pytest.mark.slow]
NAME = "e2emachines"
PLACE = places.Place(NAME)


def rehearsal(*words: str) -> subprocess.CompletedProcess[str]:
    """The command as a person types it."""
    command = [sys.executable, "-m", "rehearsal", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=lifecycle.ROOT, timeout=600, check=False)


@pytest.fixture(scope="module")
def vpc(tmp_path_factory):
    """A rehearsal of its own with a network and three machines; whatever happens, nothing of it stays."""
    folder = tmp_path_factory.mktemp("machines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGECRAFT_STATE", str(folder / "state"))
        lifecycle.down(PLACE)
        try:
            started = rehearsal("up", NAME)
            assert started.returncode == 0, started.stderr
            with Caller(environment.netns(NAME), environment.environment(NAME)) as cloud:
                made = SmallVpc(cloud, environment.netns(NAME), folder)
                made.build_network()
                made.build_machine("bastion", "front", made.group_bastion, public=True)
                made.build_machine("front-1", "front", made.group_inner)
                made.build_machine("back-1", "back", made.group_inner)
                made.write_ssh_config()
                for name in made.machines:
                    assert "done" in made.ssh(name, "cloud-init status --wait").stdout
                yield made
        finally:
            lifecycle.down(PLACE)
            assert not lifecycle.leftovers(PLACE)


def test_cloud_init_makes_the_machine_what_its_metadata_says(vpc):
    said = vpc.ssh("bastion", "hostname --fqdn; whoami; sudo whoami; systemctl is-system-running --wait").stdout.split()
    assert said == ["bastion.ru-central1.internal", "stagecraft", "root", "running"]


def test_private_machines_are_reached_through_the_bastion_only(vpc):
    assert vpc.ssh("back-1", "hostname").stdout.strip() == "back-1"
    assert vpc.visitor_reaches(vpc.public_address("bastion"), 22)
    assert not vpc.visitor_reaches(vpc.address("back-1"), 22)


def test_a_forged_route_leads_into_no_network(vpc):
    network = PLACE.netns(f"vpc-{vpc.network}")
    uplink = shell.ip_json(network, "-4", "addr", "show", "dev", "uplink")[0]["addr_info"][0]["local"]
    shell.ip(PLACE.netns("internet"), f"route add 10.10.1.0/24 via {uplink}")
    try:
        assert not vpc.visitor_reaches(vpc.address("back-1"), 22)
        assert not vpc.visitor_reaches("10.10.1.2", 53), "the resolver is the network's own"
    finally:
        shell.ip(PLACE.netns("internet"), "route del 10.10.1.0/24")


def test_only_the_subnet_with_a_gateway_reaches_the_outside(vpc):
    assert vpc.reaches("front-1", str(places.API), 443)
    assert vpc.reaches("front-1", str(places.STORAGE), 443)
    assert not vpc.reaches("back-1", str(places.API), 443)
    assert not vpc.reaches("front-1", "192.0.2.1", 443), "there is nothing else out there"


def test_packages_come_through_the_cache_where_there_is_a_gateway(vpc):
    options = f"-o Acquire::http::Proxy=http://{places.PACKAGES} -o Acquire::http::Timeout=3"
    options += " -o Acquire::Retries=0 -o APT::Update::Error-Mode=any"
    install = f"sudo sh -c 'apt-get {options} update -q && apt-get {options} install -q -y hello' && hello"
    assert "Hello, world!" in vpc.ssh("front-1", install).stdout
    assert vpc.ssh("back-1", f"sudo apt-get {options} update -q", check=False).returncode != 0


def test_a_machine_gets_the_tokens_of_its_own_service_account(vpc):
    url = f"http://{places.METADATA}{metadata.TOKEN}"
    ask = f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' -H 'Metadata-Flavor: Google' {url}"
    account = vpc.cloud.create("iam.v1.ServiceAccountService", name="machine")["id"]
    given = {"service_account_id": account, "update_mask": {"paths": ["service_account_id"]}}
    vpc.cloud("compute.v1.InstanceService.Update", instance_id=vpc.machines["back-1"]["id"], **given)
    assert vpc.ssh("back-1", ask).stdout == "200", "no gateway is needed"
    assert vpc.ssh("front-1", ask).stdout == "404"
    assert vpc.ssh("back-1", ask.replace("Google", "Other")).stdout == "403"
    assert not vpc.visitor_reaches(str(places.METADATA), 80)


def test_names(vpc):
    zone = vpc.cloud.create(
        "dns.v1.DnsZoneService",
        name="private",
        zone="small.internal.",
        private_visibility={"network_ids": [vpc.network]},
    )["id"]
    record = {"name": "front-1", "type": "A", "ttl": 60, "data": [vpc.address("front-1")]}
    vpc.cloud("dns.v1.DnsZoneService.UpsertRecordSets", dns_zone_id=zone, replacements=[record])
    asked = (
        "front-1.small.internal front-1 back-1.ru-central1.internal storage.yandexcloud.net mdb.api.cloud.yandex.net"
    )
    said = vpc.ssh(
        "bastion", f"getent ahostsv4 {asked.split()[0]}; getent hosts {asked}; getent hosts deb.debian.org", check=False
    )
    found = {line.split()[0] for line in said.stdout.splitlines()}
    assert found == {vpc.address("front-1"), vpc.address("back-1"), str(places.STORAGE), str(places.REST)}
    assert said.returncode == 2, "nothing else resolves"
    reverse = vpc.ssh("bastion", f"getent hosts {vpc.address('back-1')}").stdout.split()
    assert reverse[1] == "back-1.ru-central1.internal"


def test_a_rule_opens_one_port_and_its_end_closes_one_port(vpc):
    vpc.ssh("back-1", "sudo systemd-run --unit web python3 -m http.server 8080")
    wait_for("the web server", lambda: vpc.reaches("front-1", vpc.address("back-1"), 8080), 20)
    rules = [rule for rule in vpc.rules(vpc.group_inner) if rule.get("ports", {}).get("from_port") == "8080"]
    update = {"security_group_id": vpc.group_inner, "deletion_rule_ids": [rules[0]["id"]]}
    vpc.cloud("vpc.v1.SecurityGroupService.UpdateRules", **update)
    assert not vpc.reaches("front-1", vpc.address("back-1"), 8080)
    assert vpc.reaches("bastion", vpc.address("back-1"), 22)
    again = vpc.rule(1, "TCP", 8080, cidr_blocks={"v4_cidr_blocks": [f"{vpc.address('bastion')}/32"]})
    update = {"security_group_id": vpc.group_inner, "addition_rule_specs": [again]}
    vpc.cloud("vpc.v1.SecurityGroupService.UpdateRules", **update)
    assert vpc.reaches("bastion", vpc.address("back-1"), 8080)
    assert not vpc.reaches("front-1", vpc.address("back-1"), 8080)


def test_a_group_as_source_means_its_members(vpc):
    assert vpc.reaches("bastion", vpc.address("front-1"), 22)
    assert not vpc.reaches("back-1", vpc.address("front-1"), 22)


def test_the_machine_cannot_change_its_firewall_and_its_units_are_confined(vpc):
    refused = vpc.ssh("front-1", "sudo nft flush ruleset", check=False)
    assert refused.returncode != 0
    assert "Operation not permitted" in refused.stderr
    confined = "sudo systemd-run --wait --pipe -p ProtectSystem=strict touch /etc/written"
    assert "Read-only file system" in vpc.ssh("front-1", confined, check=False).stderr


def test_a_stopped_machine_keeps_its_disk_and_starts_with_its_new_size(vpc):
    ident = vpc.machines["back-1"]["id"]
    assert memory_limit(ident) == GB // 2
    wanted = {"resources_spec": {"memory": GB}, "update_mask": {"paths": ["resources_spec.memory"]}}
    with pytest.raises(RuntimeError, match="must be stopped"):
        vpc.cloud("compute.v1.InstanceService.Update", instance_id=ident, **wanted)
    vpc.ssh("back-1", "echo kept | sudo tee /root/kept && sync")
    vpc.cloud("compute.v1.InstanceService.Stop", instance_id=ident)
    assert vpc.ssh("back-1", "true", check=False).returncode != 0
    vpc.cloud("compute.v1.InstanceService.Update", instance_id=ident, **wanted)
    vpc.cloud("compute.v1.InstanceService.Start", instance_id=ident)
    kept = wait_for("back-1", lambda: vpc.ssh("back-1", "sudo cat /root/kept", check=False).stdout, 30)
    assert kept.strip() == "kept" and memory_limit(ident) == GB


def memory_limit(instance: str) -> int:
    """What the kernel gives the machine, in bytes."""
    pid = shell.podman("inspect", "--format", "{{.State.Pid}}", PLACE.container(instance)).strip()
    groups = [line.split(":") for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    own = next(path for *_, path in groups if "/libpod-" in path)
    own = re.search(r".*?/libpod-[0-9a-f]+", own)[0]
    files = (Path(f"/sys/fs/cgroup/memory{own}/memory.limit_in_bytes"), Path(f"/sys/fs/cgroup{own}/memory.max"))
    return int(next(file for file in files if file.exists()).read_text())


def test_a_forward_leads_in_from_loopback_and_its_end_closes_it(vpc):
    port = forward.inward(PLACE, "bastion", vpc.public_address("bastion"), 22)
    assert forward.inward(PLACE, "bastion", vpc.public_address("bastion"), 22) == port

    def banner() -> str:
        try:
            with socket.create_connection(("127.0.0.1", port), 3) as connection:
                return connection.recv(64).decode()
        except OSError:
            return ""

    assert wait_for("the forward", banner, 10).startswith("SSH-2.0-")
    forward.remove(PLACE, "bastion")
    wait_for("the end of the forward", lambda: not banner(), 10)


def test_a_killed_cloud_takes_no_machine_along_and_comes_back_as_it_was(vpc):
    before = vpc.ssh(
        "back-1", "cat /proc/sys/kernel/random/boot_id; systemctl show -P InactiveExitTimestamp init.scope"
    )
    os.kill(processes.running(PLACE, environment.CLOUD), signal.SIGKILL)
    wait_for("the end of the cloud", lambda: not environment.is_up(NAME), 10)
    assert "storage" in vpc.ssh("back-1", "getent hosts storage.yandexcloud.net").stdout
    again = rehearsal("up", NAME)
    assert again.returncode == 0, again.stderr
    after = vpc.ssh("back-1", "cat /proc/sys/kernel/random/boot_id; systemctl show -P InactiveExitTimestamp init.scope")
    assert after.stdout == before.stdout
    listed = vpc.cloud("compute.v1.InstanceService.List", folder_id=vpc.cloud.folder)["instances"]
    assert {item["name"]: item["status"] for item in listed} == dict.fromkeys(vpc.machines, "RUNNING")


def test_the_rehearsal_tells_what_it_is_and_no_secret(vpc):
    status = rehearsal("status", NAME).stdout
    assert all(machine["id"] in status for machine in vpc.machines.values())
    variables = json.loads(rehearsal("env", NAME, "--json").stdout)
    assert variables["YC_STORAGE_ENDPOINT"] == f"https://{places.STORAGE}"
    secret = json.loads(Path(variables["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())["private_key"]
    assert secret.splitlines()[2] not in status + json.dumps(variables)


def test_what_the_cloud_deletes_is_gone_from_the_machine(vpc):
    for machine in vpc.machines.values():
        vpc.cloud("compute.v1.InstanceService.Delete", instance_id=machine["id"])
    for group in (vpc.group_inner, vpc.group_bastion):
        vpc.cloud("vpc.v1.SecurityGroupService.Delete", security_group_id=group)
    for zone in vpc.cloud("dns.v1.DnsZoneService.List", folder_id=vpc.cloud.folder)["dns_zones"]:
        vpc.cloud("dns.v1.DnsZoneService.Delete", dns_zone_id=zone["id"])
    for subnet in vpc.subnets.values():
        vpc.cloud("vpc.v1.SubnetService.Delete", subnet_id=subnet)
    vpc.cloud("vpc.v1.RouteTableService.Delete", route_table_id=vpc.table)
    vpc.cloud("vpc.v1.GatewayService.Delete", gateway_id=vpc.gateway)
    vpc.cloud("vpc.v1.NetworkService.Delete", network_id=vpc.network)
    left = lifecycle.leftovers(PLACE)
    assert left["namespaces"] == [PLACE.netns("internet"), PLACE.netns("serverless")]
    assert "containers" not in left


def test_down_removes_even_a_broken_rehearsal(vpc):
    internet = shell.NETNS / PLACE.netns("internet")
    stray = subprocess.Popen(["nsenter", f"--net={internet}", "--", "sleep", "600"])
    shell.run("ip", "netns", "add", PLACE.netns("forgotten"))
    os.kill(processes.running(PLACE, environment.CLOUD), signal.SIGKILL)
    (PLACE.folder / "run" / "forward.pid").unlink()
    (PLACE.folder / "rehearsal.json").unlink()
    done = rehearsal("down", NAME)
    assert done.returncode == 0, done.stderr
    assert "nothing is left" in done.stdout
    assert stray.wait(timeout=5) != 0
    assert not lifecycle.leftovers(PLACE)
    assert "removed 0 processes, 0 containers" in rehearsal("down", NAME).stdout
