"""The partners stage, from nothing to verified predictions and back to nothing, by the commands that a person types."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from asking import Client, api_key

from rehearsal import environment, lifecycle, places

pytestmark = [pytest.mark.root, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
STAGE = "partners"
NETWORK = ROOT / "inventories" / STAGE / "group_vars" / "all" / "network.yml"


@pytest.fixture(scope="module", autouse=True)
def _a_machine_of_our_own(tmp_path_factory):
    """A state folder of the test's own, and nothing left behind whatever happens."""
    if lifecycle.leftovers(places.Place(STAGE)):
        pytest.fail(f"a rehearsal of {STAGE} is up: end it first (make down STAGE={STAGE})")
    os.environ["STAGECRAFT_STATE"] = str(tmp_path_factory.mktemp("state"))
    yield
    lifecycle.down(places.Place(STAGE))
    os.environ.pop("STAGECRAFT_STATE")


def stagecraft(*arguments: str, timeout: int = 1500) -> str:
    """Run the command as a person would; its output. Fails with that output when the command does."""
    done = subprocess.run(
        [sys.executable, "-m", "stagecraft", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr, flush=True)
    assert done.returncode == 0, f"stagecraft {' '.join(arguments)}: {done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def inside(*command: str, **more) -> subprocess.CompletedProcess[str]:
    """Run a program in the rehearsal's internet, with its variables."""
    return subprocess.run(
        [sys.executable, "-m", "rehearsal", "shell", STAGE, "--", *command],
        cwd=ROOT, env={**os.environ, "STAGE": STAGE}, capture_output=True, text=True, timeout=300, check=False, **more,
    )  # fmt: skip


def test_rehearse_ends_with_the_line_it_promises():
    last = stagecraft("rehearse", STAGE).strip().splitlines()[-1]
    said = re.fullmatch(r"partners: rehearsed in \d+s, 6 hosts, (\d+) checks passed, second run changed (\d+)", last)
    assert said, last
    assert int(said[1]) >= 30 and int(said[2]) == 0


def test_the_printed_curl_line_answers():
    state = places.state() / STAGE
    entry = yaml.safe_load((state / "entry.json").read_text())
    listed = yaml.safe_load((places.Place(STAGE).folder / "forwards.json").read_text())
    port = next(f["listen"][1] for f in listed if f["name"] == "api")
    at = f"{entry['hostname']}:{port}"
    answer = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "--config", str(state / "curl.conf"), "--resolve", f"{at}:127.0.0.1",
         f"https://{at}/v1/predict/{entry['model']}"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len(yaml.safe_load(answer.stdout)["outputs"]["label"]) == 1


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


def test_every_secret_is_rotated_and_a_client_that_keeps_asking_sees_no_failure(tmp_path):
    state = places.state() / STAGE
    before = {name: (state / name).read_text() for name in ("ca.pem", "id_ed25519")}
    old = tmp_path / "old"
    old.touch(mode=0o600)
    old.write_text(before["id_ed25519"])
    assert ssh_with(old).stdout.strip() == "stagecraft"
    with Client(STAGE) as client:
        last = stagecraft("rotate", STAGE, "all").strip().splitlines()[-1]
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


def journal() -> str:
    path = places.Place(STAGE).cloud / "journal.jsonl"
    return path.read_text() if path.exists() else ""
