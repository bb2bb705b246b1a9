"""The partners stage while it serves: secrets made anew, backups, machines changed and replaced."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from asking import Client, api_key
from commands import ROOT, stagecraft
from sdk_calls import Caller
from waiting import wait_for
from watching import CommandLines

from rehearsal import environment, places

from .partners_stage import STAGE, inside, prometheus, said

pytestmark = [pytest.mark.root, pytest.mark.slow]


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


def newest_backup_in_prometheus() -> dict[str, float]:
    """When the newest backup was done, by cluster, in seconds since 1970."""
    rows = prometheus("stagecraft_backup_newest_timestamp_seconds")
    return {row["metric"]["cluster"]: float(row["value"][1]) for row in rows}


def test_prometheus_shows_the_newest_backup_that_the_cloud_has():
    clusters = "mdb.postgresql.v1.ClusterService"
    with Caller(environment.netns(STAGE), environment.environment(STAGE)) as cloud:
        (cluster,) = cloud(f"{clusters}.List", folder_id=cloud.folder)["clusters"]
        before = newest_backup_in_prometheus()
        cloud(f"{clusters}.Backup", cluster_id=cluster["id"])
        listed = cloud(f"{clusters}.ListBackups", cluster_id=cluster["id"])["backups"]
    newest = {cluster["name"]: max(datetime.fromisoformat(b["created_at"]) for b in listed).timestamp()}
    assert before.keys() == newest.keys() and before != newest
    said("monitoring-1", "systemctl start backup-age")
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
    found = re.fullmatch(rf"partners: {what} rolled in \d+s, (\d) of \d machines changed", last)
    assert found, last
    return int(found[1])


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
    record = json.loads(said("monitoring-1", "cat /var/lib/stagecraft/machine-state.json"))
    assert record["inputs"] == "", "a plan would leave out a machine that no role went through"
