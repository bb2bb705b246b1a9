"""The partners stage from nothing to verified predictions, by the commands that a person types."""

from __future__ import annotations

import functools
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from commands import printed_curl, stagecraft

from rehearsal import places

from .partners_stage import NETWORK, STAGE, as_root, inside, journal, report, said

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_rehearse_ends_with_the_line_it_promises():
    last = stagecraft("rehearse", STAGE).strip().splitlines()[-1]
    found = re.fullmatch(r"partners: rehearsed in \d+s, 6 hosts, (\d+) checks passed, second run changed (\d+)", last)
    assert found, last
    assert int(found[1]) >= 30 and int(found[2]) == 0


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
    asked = {host: as_root(host, FOOTPRINT) for host in ("edge-1", "monitoring-1")}
    assert all(done.returncode == 0 and len(done.stdout) > 1000 for done in asked.values()), asked
    return {host: done.stdout.splitlines() for host, done in asked.items()}


plan = functools.partial(report, "plan")


def test_a_plan_says_what_would_change_on_machines_and_changes_nothing():
    before, calls = footprints(), journal()
    planned = plan(2, "-e", "nginx_strict_transport_security=max-age=60", "-e", "prometheus_retention=10d",
                  "-e", "inference_api_memory_max=1100M")  # fmt: skip
    assert footprints() == before
    asked = [json.loads(line) for line in journal()[len(calls) :].splitlines()]
    methods = [e["method"] for e in asked if e.get("principal") and not e["method"].endswith("IamTokenService.Create")]
    assert methods and not [method for method in methods if not method.rpartition(".")[2].startswith(("Get", "List"))]
    hosts = {host["name"]: host for host in planned["hosts"]}
    assert hosts.keys() == {"backend-1", "backend-2", "edge-1", "monitoring-1"} and planned["changes"] == []
    for name in ("backend-1", "backend-2"):  # its unit changes, and restarts on one after the other
        assert hosts[name]["units"] == {"inference-api": "restart"} and hosts[name]["together"] == []
    assert planned["counts"]["change"] == 4
    assert hosts["edge-1"]["units"] == {"nginx": "reload"} and hosts["monitoring-1"]["units"] == {
        "prometheus": "restart"
    }
    assert hosts["edge-1"]["files"] and all(path.startswith("/etc/nginx/") for path in hosts["edge-1"]["files"])


def test_a_plan_goes_through_the_machines_that_are_not_as_the_last_run_left_them():
    converged, page = plan(0), "/etc/nginx/nginx.conf"
    assert converged["hosts"] == [] and converged["as_left"] == converged["existing"] and len(converged["as_left"]) == 6
    mode = said("edge-1", f"stat -c %a {page}").strip()
    said("edge-1", f"chmod 0600 {page}")
    changed = plan(2)
    said("edge-1", f"chmod {mode} {page}")
    assert [(host["name"], host["files"]) for host in changed["hosts"]] == [("edge-1", [page])]
    assert changed["as_left"] == [name for name in converged["as_left"] if name != "edge-1"]
    thorough = plan(0, "--thorough")
    assert thorough["hosts"] == [] == thorough["as_left"]


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
