"""The partners stage, from nothing to verified predictions and back to nothing, by the commands that a person types."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import commands
import pytest
import yaml
from asking import Client, api_key
from commands import ROOT, a_machine_of_our_own, printed_curl, stagecraft
from sdk_calls import Caller
from small_vpc import wait_for
from watching import CommandLines

from rehearsal import environment, lifecycle, places

pytestmark = [pytest.mark.root, pytest.mark.slow]
STAGE = "partners"
NETWORK = ROOT / "inventories" / STAGE / "group_vars" / "all" / "network.yml"


@pytest.fixture(scope="module", autouse=True)
def _a_machine_of_our_own(tmp_path_factory):
    yield from a_machine_of_our_own(STAGE, tmp_path_factory.mktemp("state"))


inside = functools.partial(commands.inside, STAGE)
journal = functools.partial(commands.journal, STAGE)


def test_rehearse_ends_with_the_line_it_promises():
    last = stagecraft("rehearse", STAGE).strip().splitlines()[-1]
    said = re.fullmatch(r"partners: rehearsed in \d+s, 6 hosts, (\d+) checks passed, second run changed (\d+)", last)
    assert said, last
    assert int(said[1]) >= 30 and int(said[2]) == 0


def test_the_printed_curl_line_answers():
    answer = printed_curl(STAGE)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len(yaml.safe_load(answer.stdout)["outputs"]["label"]) == 1


FOOTPRINT = """
find /etc /usr/local /opt /var/lib/stagecraft -type f -printf '%p %C@\\n' | sort
units=$(systemctl list-units --type=service --state=running --plain --no-legend | awk '$1 !~ /@/ {print $1}')
systemctl show --property Id,StateChangeTimestampMonotonic $units
"""


def footprints() -> dict[str, list[str]]:
    """What a run would leave on machines: when files were changed last, and units started, stopped or reloaded."""
    config = str(places.state() / STAGE / "ssh_config")
    asked = {
        host: inside("ssh", "-F", config, host, "sudo", "sh", input=FOOTPRINT) for host in ("edge-1", "monitoring-1")
    }
    assert all(done.returncode == 0 and len(done.stdout) > 1000 for done in asked.values()), asked
    return {host: done.stdout.splitlines() for host, done in asked.items()}


def plan(code: int, *words: str) -> dict:
    """The report of `stagecraft plan`, which has to end with this exit code."""
    command = [sys.executable, "-m", "stagecraft", "plan", STAGE, "--json", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout)


def test_a_plan_says_what_would_change_on_machines_and_changes_nothing():
    before, calls = footprints(), journal()
    report = plan(2, "-e", "nginx_strict_transport_security=max-age=60", "-e", "prometheus_retention=10d",
                  "-e", "inference_api_memory_max=1100M")  # fmt: skip
    assert footprints() == before
    asked = [json.loads(line) for line in journal()[len(calls) :].splitlines()]
    methods = [e["method"] for e in asked if e.get("principal") and not e["method"].endswith("IamTokenService.Create")]
    assert methods and not [method for method in methods if not method.rpartition(".")[2].startswith(("Get", "List"))]
    hosts = {host["name"]: host for host in report["hosts"]}
    assert hosts.keys() == {"backend-1", "backend-2", "edge-1", "monitoring-1"} and report["changes"] == []
    for name in ("backend-1", "backend-2"):  # its unit changes, and restarts on one after the other
        assert hosts[name]["units"] == {"inference-api": "restart"} and hosts[name]["together"] == []
    assert report["counts"]["change"] == 4
    assert hosts["edge-1"]["units"] == {"nginx": "reload"} and hosts["monitoring-1"]["units"] == {
        "prometheus": "restart"
    }
    assert hosts["edge-1"]["files"] and all(path.startswith("/etc/nginx/") for path in hosts["edge-1"]["files"])
    assert plan(0)["hosts"] == []


def open_ports(source: str, target: str, ports: list[int]) -> list[int]:
    """Which of the target's ports a machine reaches."""
    script = (
        "import socket, sys\n"
        "for port in map(int, sys.argv[2:]):\n"
        "    with socket.socket() as s:\n"
        "        s.settimeout(2)\n"
        "        if s.connect_ex((sys.argv[1], port)) == 0: print(port)\n"
    )
    config = str(places.state() / STAGE / "ssh_config")
    remote = ["ssh", "-F", config, source, "python3", "-", f"{target}.partners.internal", *map(str, ports)]
    done = inside(*remote, input=script)
    assert done.returncode == 0, done.stderr
    return [int(port) for port in done.stdout.split()]


def put_rules(tmp_path: Path, group: str, rules: list[dict]) -> None:
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [
                {"stagecraft.platform.yc_vpc_security_group": {"name": group, "network": "main", "rules": rules}}
            ],
        }
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(play))
    done = inside(sys.executable, "-m", "ansible", "playbook", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_closing_one_rule_closes_one_port(tmp_path):
    rules = yaml.safe_load(NETWORK.read_text())["security_groups"]["serving"]["rules"]
    closed = [rule for rule in rules if rule["ports"]["from"] != 8001]
    assert len(closed) == len(rules) - 1
    assert open_ports("backend-1", "serving-1", [22, 8001, 9102]) == [8001]
    assert open_ports("monitoring-1", "serving-1", [22, 8001, 9102]) == [9102]
    put_rules(tmp_path, "serving", closed)
    assert open_ports("backend-1", "serving-1", [22, 8001, 9102]) == []
    assert open_ports("monitoring-1", "serving-1", [22, 8001, 9102]) == [9102]
    put_rules(tmp_path, "serving", rules)
    assert open_ports("backend-1", "serving-1", [22, 8001, 9102]) == [8001]


def test_only_operators_reach_the_bastion():
    """From an operator's network its SSH port is open; from elsewhere in the internet nothing answers there."""
    config = (places.state() / STAGE / "ssh_config").read_text()
    bastion = re.search(r"(?m)^Host bastion\b[^\n]*(?:\n\s+[^\n]+)*?\n\s+HostName (\S+)", config)
    probe = "import socket, sys; socket.create_connection((sys.argv[1], 22), 3, (sys.argv[2], 0))"
    reached = {
        address: inside(sys.executable, "-c", probe, bastion[1], str(address)).returncode == 0
        for address in (places.CONTROLLER, places.VISITOR)
    }
    assert reached == {places.CONTROLLER: True, places.VISITOR: False}


def ssh_with(identity: Path, host: str = "backend-1") -> subprocess.CompletedProcess[str]:
    """Try a key on a machine and on the bastion before it."""
    only = ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"]
    config = identity.parent / "ssh_config"
    config.write_text(
        (places.state() / STAGE / "ssh_config")
        .read_text()
        .replace(str(places.state() / STAGE / "id_ed25519"), str(identity))
    )
    return inside("ssh", "-F", str(config), *only, host, "id", "-un")


def secrets() -> dict[str, dict[str, str]]:
    """Every secret of the stage's folder as it is now: texts by entry, by name."""
    store = "lockbox.v1"
    with Caller(environment.netns(STAGE), environment.environment(STAGE)) as cloud:
        listed = cloud(f"{store}.SecretService.List", folder_id=cloud.folder, page_size=1000)["secrets"]
        payloads = {one["name"]: cloud(f"{store}.PayloadService.Get", secret_id=one["id"]) for one in listed}
    return {
        name: {entry["key"]: entry["text_value"] for entry in payload["entries"]} for name, payload in payloads.items()
    }


def test_rotating_all_fails_no_client_and_shows_no_secret_on_a_command_line(tmp_path):
    state = places.state() / STAGE
    before = {name: (state / name).read_text() for name in ("ca.pem", "id_ed25519")}
    old = tmp_path / "old"
    old.touch(mode=0o600)
    old.write_text(before["id_ed25519"])
    assert ssh_with(old).stdout.strip() == "stagecraft"
    old_secrets = secrets()
    with Client(STAGE) as client, CommandLines() as lines:
        last = stagecraft("rotate", STAGE, "all").strip().splitlines()[-1]
    new_secrets = secrets()
    same = {name for name, entries in new_secrets.items() if entries == old_secrets[name]}
    assert same == {"serving-storage-key", "release-storage-key"}
    hidden = {
        text
        for entries in (*old_secrets.values(), *new_secrets.values())
        for key, text in entries.items()
        if "PRIVATE KEY" in text or key in ("password", "secret", "api_key")
    }
    assert len(hidden) > 20 and any(b"model_sync" in line for line in lines.seen)
    assert [line for line in lines.seen for text in hidden if text.strip().encode() in line] == []
    assert re.fullmatch(r"partners: all rotated in \d+s, 3 steps", last), last
    assert client.failures == [] and client.answered > 100 and client.repeated < 5
    assert api_key(state) != client.key, "the API key is the old one"
    assert client.ask(api_key(state))[0] == 200 and client.ask()[0] == 200, "the new key and, in its grace, the old one"
    with pytest.raises(ssl.SSLCertVerificationError):
        client.ask(authority=before["ca.pem"])
    assert (state / "ca.pem").read_text().count("BEGIN CERTIFICATE") == 1
    refused = ssh_with(old)
    assert refused.returncode == 255 and "Permission denied" in refused.stderr, refused
    assert inside("ssh", "-F", str(state / "ssh_config"), "backend-1", "id", "-un").stdout.strip() == "stagecraft"
    stagecraft("verify", STAGE)


def on_monitoring(script: str) -> str:
    """What a shell script says that root runs on the monitoring machine."""
    config = str(places.state() / STAGE / "ssh_config")
    done = inside("ssh", "-F", config, "monitoring-1", "sudo", "sh", input=script)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def newest_backup_in_prometheus() -> dict[str, float]:
    """When the newest backup was done, by cluster, in seconds since 1970. The password is on no command line."""
    answer = on_monitoring(
        'printf \'user = "prometheus:%s"\' "$(cat /etc/prometheus/passwords/prometheus)" | curl -sS --fail --config -'
        " 'https://monitoring-1.partners.internal:9090/api/v1/query?query=stagecraft_backup_newest_timestamp_seconds'"
    )
    return {r["metric"]["cluster"]: float(r["value"][1]) for r in json.loads(answer)["data"]["result"]}


def test_prometheus_shows_the_newest_backup_that_the_cloud_has():
    clusters = "mdb.postgresql.v1.ClusterService"
    with Caller(environment.netns(STAGE), environment.environment(STAGE)) as cloud:
        (cluster,) = cloud(f"{clusters}.List", folder_id=cloud.folder)["clusters"]
        before = newest_backup_in_prometheus()
        cloud(f"{clusters}.Backup", cluster_id=cluster["id"])
        listed = cloud(f"{clusters}.ListBackups", cluster_id=cluster["id"])["backups"]
    newest = {cluster["name"]: max(datetime.fromisoformat(b["created_at"]) for b in listed).timestamp()}
    assert before.keys() == newest.keys() and before != newest
    on_monitoring("systemctl start backup-age")
    wait_for("the new backup in Prometheus", lambda: newest_backup_in_prometheus() == newest)


def instance(name: str) -> dict[str, str]:
    """What the cloud says of a machine."""
    asked = inside(sys.executable, "-m", "ansible", "adhoc", "localhost",
                   "-m", "stagecraft.platform.yc_compute_instance", "-a", f"name={name} state=info")  # fmt: skip
    assert asked.returncode == 0, asked.stdout + asked.stderr
    return yaml.safe_load(asked.stdout.partition("=>")[2])["instance"]


def roll(what: str, *arguments: str) -> int:
    """Roll a role or a machine; how many machines were changed."""
    last = stagecraft("roll", STAGE, what, *arguments).strip().splitlines()[-1]
    said = re.fullmatch(rf"partners: {what} rolled in \d+s, (\d) of \d machines changed", last)
    assert said, last
    return int(said[1])


def test_a_backend_is_changed_and_one_replaced_while_a_client_that_keeps_asking_sees_no_failure():
    before = {name: instance(name) for name in ("backend-1", "backend-2")}
    with Client(STAGE) as client:
        done = inside(
            sys.executable, "-m", "ansible", "playbook", str(ROOT / "playbooks" / "roll.yml"),
            "-e", f"@{environment.OVERLAY}", "-e", "machine=backend-1", "-e", "backend_memory=2GB",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        assert instance("backend-1")["resources"]["memory"] == 2 << 30 != before["backend-1"]["resources"]["memory"]
        assert roll("backend") == 1
        assert {name: instance(name) for name in before} == before
        assert roll("backend-2", "--replace") == 1
        assert instance("backend-2")["id"] != before["backend-2"]["id"]
    assert client.failures == [] and client.answered > 100 and client.repeated < 5
    assert inside("ssh", "-F", str(places.state() / STAGE / "ssh_config"), "backend-2", "id", "-un").returncode == 0


def test_destroy_leaves_nothing_and_twice_is_fine():
    line = stagecraft("destroy", STAGE).strip().splitlines()[-1]
    assert re.fullmatch(r"partners: destroyed in \d+s, 0 resources left, 0 containers left", line), line
    assert lifecycle.leftovers(places.Place(STAGE)) == {}
    assert not environment.is_up(STAGE)
    assert stagecraft("destroy", STAGE).strip() == "partners: destroyed in 0s, 0 resources left, 0 containers left"
    subprocess.run([sys.executable, "-m", "rehearsal", "down", STAGE], cwd=ROOT, check=True)


def test_a_build_killed_half_way_is_destroyed_without_a_remainder():
    subprocess.run([sys.executable, "-m", "rehearsal", "up", STAGE], cwd=ROOT, check=True, timeout=300)
    build = subprocess.Popen([sys.executable, "-m", "stagecraft", "apply", STAGE], cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 120
    while "InstanceService.Create" not in journal() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "InstanceService.Create" in journal()
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    line = stagecraft("destroy", STAGE).strip().splitlines()[-1]
    assert line.endswith("0 resources left, 0 containers left"), line
    assert lifecycle.leftovers(places.Place(STAGE)) == {}
