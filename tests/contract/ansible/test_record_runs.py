"""What an apply leaves behind: a record in the bucket, by which the next one knows which secrets are newer."""

from __future__ import annotations

import io
import json
import subprocess

import pytest
import yaml
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError, ask
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_worker import Answers
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs import record
from ansible_runs import ROOT, calls, command
from clocks import set_wrong
from storage import BUCKET, KEY, SECRET, seaweed

FIRST, SECOND = "first-of-all-passwords", "second-of-all-passwords"
PARTS = ("stage", "cloud", "secrets", "record")
CLUSTER = {
    "network": "main", "version": "15", "preset": "s3-c2-m8", "disk_size": "20GB",
    "hosts": [{"zone": "ru-central1-a", "subnet": "a"}],
}  # fmt: skip
VARIABLES = {
    "stage": "small",
    "app": "tests",
    "folder_id": "{{ lookup('ansible.builtin.env', 'YC_FOLDER_ID') }}",
    "bucket": BUCKET,
    "storage_region": "ru-central1",
    "reads_secrets": True,
    "stage_secret_names": ["release-storage-key", "database"],
    "stage_secrets": "{{ hostvars.localhost.__stage_secrets }}",
}


def resources(*networks: str) -> dict:
    return {
        "vpc_network": {name: {} for name in networks},
        "vpc_subnet": {"a": {"network": "main", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"]}},
        "lockbox_secret": {
            "release-storage-key": {"entries": [{"key": "key_id", "text": KEY}, {"key": "secret", "text": SECRET}]},
            "database": {"entries": [{"key": "password", "text": FIRST}]},
        },
        "postgresql_cluster": {"pg": CLUSTER},
        "postgresql_user": [
            {"cluster": "pg", "name": "app", "password_secret": {"secret": "database", "key": "password"}}
        ],
    }


@pytest.fixture
def storage(tmp_path):
    folder = tmp_path / "storage"
    folder.mkdir()
    with seaweed(folder) as server:
        yield server


@pytest.fixture
def apply(variables, tmp_path, storage):
    """Apply a small stage by the playbooks' own components."""
    inventory = tmp_path / "inventories" / "small"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "controller.yml").write_text((ROOT / "inventories/partners/controller.yml").read_text())
    book = tmp_path / "small.yml"
    parts = [{"ansible.builtin.import_playbook": str(ROOT / f"playbooks/components/{part}.yml")} for part in PARTS]
    book.write_text(yaml.safe_dump(parts))

    def run(declared: dict, *options: str) -> str:
        known = VARIABLES | {"storage_endpoint": storage.endpoint, "stage_resources": declared}
        (inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(known))
        done = subprocess.run(
            [command("ansible-playbook"), "-i", str(inventory), str(book), *options],
            cwd=ROOT, env=variables | {"AWS_CA_BUNDLE": str(storage.ca)}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    return run


def rotate(variables, monkeypatch) -> None:
    """Put a new version into the secret, as a run that was cut off after that would have."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    new = {"name": "database", "entries": [{"key": "password", "text": SECOND}], "update_secrets": True}
    request = {"connection": {}, "resources": [{"lockbox_secret": new}], "state": "present", "check": False}
    ask("stack", request | {"workers": 2, "stage": None, "app": None, "prune": False})


@pytest.mark.slow
def test_a_record_is_written_and_read(apply, storage, cloud, variables, monkeypatch):
    would = apply(resources("main", "extra"), "--check")
    assert storage.keys("records/") == [] and "changed=1" in would
    said = apply(resources("main", "extra"))
    assert "changed=1" in said
    stamped, latest = sorted(storage.keys("records/"))
    assert latest == "records/latest.json" and storage.read(latest) == storage.read(stamped)
    first = json.loads(storage.read(latest))
    assert first["stage"] == "small" and first["result"] == "applied" and first["by"]["playbook"] == "small.yml"
    assert first["started"] <= first["finished"] and first["folder"] == variables["YC_FOLDER_ID"]
    assert first["resources"]["postgresql_cluster pg"]["disk_size"] == "20GB"
    assert first["secret_versions"] == {"postgresql_user pg/app": {"password": first["secrets"]["database"]}}

    said = apply(resources("main", "extra"))
    assert "changed=0" in said, said
    assert "changed=0" in apply(resources("main", "extra"), "--check")
    rotate(variables, monkeypatch)
    said = apply(resources("main"), "--diff")
    assert "updated postgresql_user pg/app (password)" in said and "changed=1" in said
    assert "Labelled as things of this stage and no longer declared: vpc_network extra" in said
    assert len(calls(cloud, "mdb.postgresql.v1.UserService.Update")) == 1
    last = json.loads(storage.read(latest))
    assert last["secrets"]["database"] != first["secrets"]["database"]
    assert last["undeclared"][0]["name"] == "extra"
    assert "deleted vpc_network extra" in apply(resources("main"), "-e", "prune=true")

    kept = " ".join(storage.read(key).decode() for key in storage.keys("records/"))
    assert not [value for value in (FIRST, SECOND, SECRET) if value in kept + said]
    assert not [a for a in cloud.cloud.all("iam.v1.ServiceAccount") if a.name.startswith("stagecraft-lease-")]


def test_a_record_that_cannot_be_read_is_empty_and_one_that_cannot_be_written_is_an_error(storage, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(storage.ca))
    where = {"bucket": BUCKET, "endpoint_url": storage.endpoint, "region": "ru-central1"}
    right = where | {"access_key": KEY, "secret_key": SECRET}
    assert ask("record", right) == {"record": {}, "why": ""}
    assert ask("record", right | {"bucket": "not-yet"}) == {"record": {}, "why": ""}
    wrong = right | {"secret_key": "of-another-key"}
    refused = ask("record", wrong)
    assert refused["record"] == {} and "SignatureDoesNotMatch" in refused["why"]
    record = {"finished": "2026-01-31T23:59:59Z", "stage": "small"}
    with pytest.raises(CloudError, match=f"bucket {BUCKET}: .*SignatureDoesNotMatch.* run the same again") as error:
        ask("record", wrong | {"record": record})
    assert "of-another-key" not in refused["why"] + str(error.value)
    assert ask("record", right | {"record": record})["keys"] == ["records/20260131T235959Z.json", "records/latest.json"]
    assert ask("record", right)["record"] == record


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong_is_named(storage, monkeypatch, minutes):
    """A signed request says when it was made: too far off, and it is refused."""

    monkeypatch.setenv("AWS_CA_BUNDLE", str(storage.ca))
    set_wrong(monkeypatch, minutes)
    where = {"bucket": BUCKET, "endpoint_url": storage.endpoint, "region": "ru-central1"}
    request = where | {"access_key": KEY, "secret_key": SECRET, "record": {"finished": "2026-01-31T23:59:59Z"}}
    with pytest.raises(Fail, match="RequestTimeTooSkewed.*this machine's clock says 20..-.* UTC: set it right, then"):
        record.run(request, Answers(io.StringIO()))
