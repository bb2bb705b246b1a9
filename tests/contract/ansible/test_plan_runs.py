"""What `stagecraft plan` says, `apply --plan` does; it changes nothing, and neither does a stale plan."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import gitlab_ci
import pytest
import yaml
from ansible_runs import ROOT, stack

READS = ("Get", "List")
TOKENS = "iam.v1.IamTokenService.Create"
PLAYBOOK = """
- ansible.builtin.import_playbook: components/stage.yml
  vars: {playbook_of: small}
- name: Cloud
  hosts: localhost
  gather_facts: false
  tasks:
    - stagecraft.platform.yc_stack:
        stage: "{{ stage }}"
        app: digits
        resources: "{{ stage_resources }}"
        prune: "{{ prune | default(false) }}"
    - stagecraft.platform.yc_lease: {state: absent}
"""
CONTROLLER = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
STAGE = {
    "stage": "small",
    "folder_id": "{{ lookup('ansible.builtin.env', 'YC_FOLDER_ID') }}",
    "stage_resources": {
        "vpc_network": {"main": {}},
        "vpc_subnet": {"a": {"network": "main", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"]}},
        "vpc_gateway": {"egress": {}},
        "compute_disk": {"data": {"zone": "ru-central1-a", "size": "10GB", "replace": True}},
        "lockbox_secret": {"token": {"entries": [{"key": "token", "text": "not-to-be-seen"}]}},
    },
    "usage": {"lockbox_secret": {"token": {"reads": 0}}, "vpc_gateway": {"egress": {"egress": "110GB"}}},
    "budget": {"monthly": 50},
    "checkout": "{{ inventory_dir | dirname | dirname }}",
}


def changes(cloud) -> list[str]:
    """The calls so far that may have changed something."""
    methods = [entry["method"] for entry in cloud.journal.entries() if entry.get("principal")]
    return [m for m in methods if not m.rpartition(".")[2].startswith(READS) and not m.endswith(TOKENS)]


@pytest.fixture
def small(variables, cloud, tmp_path):
    """A copy of this checkout with a small stage; run its command, and write what it declares."""
    checkout = gitlab_ci.copied(tmp_path / "checkout")
    folder = checkout / "inventories" / "small"
    (folder / "group_vars" / "all").mkdir(parents=True)
    (folder / "controller.yml").write_text(yaml.safe_dump({"controller": {"hosts": {"localhost": CONTROLLER}}}))
    (checkout / "playbooks" / "small.yml").write_text(PLAYBOOK)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "stagecraft", *words], cwd=checkout, capture_output=True, text=True, timeout=300,
            env=variables | {"STAGECRAFT_STATE": str(tmp_path / "state"), "COLUMNS": "200"},
        )  # fmt: skip
        assert "Traceback" not in done.stderr + done.stdout and "not-to-be-seen" not in done.stderr + done.stdout
        return done

    def declare(more: dict | None = None, **resources: dict) -> None:
        stage = {**STAGE, **(more or {}), "stage_resources": STAGE["stage_resources"] | resources}
        (folder / "group_vars" / "all" / "stage.yml").write_text(yaml.safe_dump(stage))

    declare()
    return run, declare


# The first: afterwards the folder is the small stage's.
def test_partners_before_there_is_anything(cloud, variables, tmp_path):
    before = changes(cloud)
    done = subprocess.run(
        [sys.executable, "-m", "stagecraft", "plan", "partners", "--cloud", "-e", "serving_gpus=0", "--json",
         "--html", str(tmp_path / "plan.html")],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
        env=variables | {"STAGECRAFT_STATE": str(tmp_path / "state"), "STAGECRAFT_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert changes(cloud) == before and not (tmp_path / "cache").exists()
    report = json.loads(done.stdout)
    assert report["counts"] == {
        "create": len(report["changes"]),
        "change": 1,  # the controller, which gets what it reaches them with
        "replace": 0,
        "delete": 0,
        "undeclared": 0,
    }
    items = [change["item"] for change in report["changes"]]
    assert len(set(items)) == len(items) > 50, "what two tasks make is counted twice"
    secrets = [change for change in report["changes"] if change["item"].startswith("lockbox_secret tls-")]
    assert len(secrets) == 6 and all(
        entry["text"] == "(secret)" for change in secrets for entry in change["wanted"]["entries"]
    )
    monitoring = ["alertmanager", "postgres_exporter", "blackbox_exporter", "backup_age", "prometheus"]
    every = ["base", "node_exporter"]
    assert {host["name"]: host["roles"] for host in report["hosts"] if host["new"]} == {
        "backend-1": [*every, "inference_api"],
        "backend-2": [*every, "inference_api"],
        "edge-1": [*every, "nginx"],
        "bastion-1": every,
        "monitoring-1": [*every, *monitoring],
        "serving-1": [*every, "triton"],
    }
    assert not re.search(r"[0-9a-f]{64}\W+verify|BEGIN", done.stdout)
    counted = subprocess.run(
        [sys.executable, "-m", "stagecraft", "cost", "partners", "--json", "--what-if", "serving_gpus=0"],
        cwd=ROOT, capture_output=True, text=True, env=variables,
    )  # fmt: skip
    (cost,) = json.loads(counted.stdout)
    price = report["price"]
    assert (price["now"], price["then"], price["difference"]) == ("0.00", cost["monthly"], f"+{cost['monthly']}")
    assert {name: part["then"] for name, part in price["components"].items()} == cost["components"]
    assert price["unknown"] == [] and price["budget"] == f"{float(cost['budget']):.2f}"
    assert cost["monthly"] in (tmp_path / "plan.html").read_text()


def test_exactly_the_plan_is_applied_or_nothing(small, cloud, play, tmp_path):
    run, declare = small
    file, planned = tmp_path / "plan.json", ("plan", "small", "--out", str(tmp_path / "plan.json"))

    first = run(*planned)
    assert first.returncode == 2, first.stderr
    assert "price in USD a month: +6.15, 0.00 → 6.15, budget 50.00\n" in first.stdout
    assert first.stdout.splitlines()[-1] == "small: 5 to create, 0 to change, 0 to replace, 0 to delete, 0 undeclared"
    assert changes(cloud) == [], "planning changed something"
    made = run("apply", "small", "--plan", str(file))
    assert made.returncode == 0, made.stdout + made.stderr

    later = {
        "vpc_subnet": {
            "one": {"network": "main", "renamed_from": "a", "description": "Renamed"},
            "b": {"network": "main", "zone": "ru-central1-b", "cidr": ["10.10.2.0/24"]},
        },
        "vpc_gateway": {},
        "compute_disk": {"data": {"zone": "ru-central1-b", "size": "10GB", "replace": True}},
    }
    declare(**later)
    before = changes(cloud)
    stale = run("apply", "small", "--plan", str(file))
    assert stale.returncode == 1 and "the declarations were edited after it was made" in stale.stderr, stale.stderr
    second = run("plan", "small", "--json")
    report = json.loads(second.stdout)
    assert second.returncode == 2 and changes(cloud) == before
    assert report["counts"] == {"create": 1, "change": 1, "replace": 1, "delete": 0, "undeclared": 1}
    said = {change["item"]: change for change in report["changes"]}
    fields = {f["path"]: (f["old"], f["new"]) for f in said["vpc_subnet one"]["fields"]}
    assert fields == {"name": ("a", "one"), "description": ("", "Renamed")}
    assert said["compute_disk data"]["why"] == "only a new one can have another zone"
    assert report["undeclared"] == ["vpc_gateway egress"]
    assert report["price"]["difference"] == "+0.00" and report["price"]["now"] == report["price"]["then"]
    assert "usage names vpc_gateway egress, and the stage declares none" in report["price"]["unknown"][0]
    # By hand: a gateway at 0.395 roubles an hour and 10 GB beyond what is free at 1.42 are 302.55, of 76.0535 for a dollar.
    assert "price in USD a month: -3.98, 6.15 → 2.17" in run("plan", "small", "-e", "prune=true").stdout
    declare({"usage": {}}, **later)
    told = run("plan", "small", "-e", "prune=true").stdout
    assert "-3.79" in told and "about the price: small: lockbox_secret token: its price depends on reads" in told
    assert "vpc_gateway egress: what it costs now by its use is not known" in told
    stopped = run("apply", "small", "-e", "prune=true")
    assert stopped.returncode == 1 and "It costs no more than its budget" in stopped.stderr and changes(cloud) == before
    declare({"usage": {"lockbox_secret": {"token": {"reads": 0}}}}, **later)
    pruned = run(*planned, "-e", "prune=true")
    assert pruned.stdout.endswith("small: 1 to create, 1 to change, 1 to replace, 1 to delete, 0 undeclared\n")
    moved = {"name": "main", "description": "By hand"}
    assert play(stack([{"vpc_network": moved}, {"vpc_subnet": {"name": "a", "description": "By hand"}}])).code == 0
    before = changes(cloud)
    refused = run("apply", "small", "--plan", str(file))
    assert refused.returncode == 1 and changes(cloud) == before, refused.stdout + refused.stderr
    assert "vpc_subnet one: something else is to be done" in refused.stderr and "vpc_network" not in refused.stderr
    play(stack([{"vpc_subnet": {"name": "a", "description": ""}}]))
    applied = run("apply", "small", "--plan", str(file))
    assert applied.returncode == 0, applied.stdout + applied.stderr
    last = run("plan", "small")
    assert last.returncode == 0, last.stdout
    assert last.stdout == "small: 0 to create, 0 to change, 0 to replace, 0 to delete, 0 undeclared\n"
