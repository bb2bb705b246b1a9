"""One life a service by real Ansible: the modules as they are packed, run and answered."""

from __future__ import annotations

import itertools

import pytest
from ansible_runs import ROOT, stack

MODULES = ROOT / "collections/ansible_collections/stagecraft/platform/plugins/modules"
NETWORK = [
    {"vpc_network": {"name": "around"}},
    {"vpc_subnet": {"name": "a", "network": "around", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"]}},
]
OPENAPI = {"openapi": "3.0.0", "info": {"title": "none", "version": "1"}, "paths": {}}
ALONE = {
    "yc_vpc_network": ({"name": "main", "description": "First"}, {"description": "Second"}),
    "yc_iam_service_account": ({"name": "robot"}, {"description": "Reads"}),
    "yc_lockbox_secret": ({"name": "s", "entries": [{"key": "k", "text": "hunter2hunter2"}]}, {"description": "Kept"}),
    "yc_kms_symmetric_key": ({"name": "k"}, {"rotation_period": 86400}),
    "yc_containerregistry_registry": ({"name": "images"}, {"pull_from": ["10.0.0.0/8"]}),
    "yc_logging_log_group": ({"name": "logs"}, {"retention_period": "2h"}),
    "yc_certificatemanager_certificate": ({"name": "api", "domains": ["a.example.org"]}, {"description": "Public"}),
    "yc_storage_bucket": ({"name": "by-ansible", "max_size": "10GB"}, {"versioning": "enabled"}),
}
SERVERLESS = {
    "yc_serverless_container": (
        {"name": "served", "image": "cr.yandex/crp9ftr22d26age3hulg/c:1", "memory": "128MB"},
        {"concurrency": 4},
    ),
    "yc_api_gateway": ({"name": "gw", "openapi": OPENAPI}, {"execution_timeout": "10s"}),
}
IN_A_NETWORK = {
    "yc_compute_instance": (
        {
            "name": "m",
            "zone": "ru-central1-a",
            "cores": 2,
            "memory": "2GB",
            "image": "debian-12",
            "disk_size": "10GB",
            "network_interfaces": [{"subnet": "a"}],
        },
        {"labels": {"a": "b"}},
    ),
    "yc_postgresql_cluster": (
        {
            "name": "pg",
            "network": "around",
            "preset": "s3-c2-m8",
            "disk_size": "10GB",
            "hosts": [{"zone": "ru-central1-a", "subnet": "a"}],
        },
        {"backup_days": 14},
    ),
    "yc_dns_zone": ({"name": "z", "zone": "by.ansible.", "networks": ["around"]}, {"description": "Names"}),
}
STEPS = 5


def test_every_service_has_a_life():
    services = {module.split("_")[1] for module in ALONE | SERVERLESS | IN_A_NETWORK}
    assert services == {p.stem.split("_")[1] for p in MODULES.glob("yc_*_*.py") if "Generated" in p.read_text()}


@pytest.mark.parametrize(
    ("lives", "around"),
    [(ALONE, []), (SERVERLESS, []), (IN_A_NETWORK, [NETWORK])],
    ids=["alone", "serverless", "in a network"],
)
def test_lives(play, lives, around):
    """Check mode, creation, update, repeat, deletion; of several modules in one run, for Ansible takes long to start."""
    steps = [task for module, (whole, change) in lives.items() for task in life(module, whole, change)]
    run = play(*map(stack, around), *steps, *(stack(needed, state="absent") for needed in around))
    assert run.code == 0, run.output
    results = itertools.batched(run.results[len(around) : len(around) + len(steps)], STEPS)
    for (module, (_, change)), rows in zip(lives.items(), results, strict=True):
        would, made, updated, again, gone = rows
        assert [r["changed"] for r in rows] == [True, True, True, False, True], module
        assert would["diff"] == made["diff"] and would["exists"] is False, module
        assert set(updated["diff"]["after"]) == set(change), module
        assert again["exists"] and not gone["exists"], module
    assert "hunter2" not in run.output


def life(module: str, whole: dict, change: dict) -> list[dict]:
    task = f"stagecraft.platform.{module}"
    return [
        {task: whole, "check_mode": True},
        {task: whole},
        {task: {"name": whole["name"], **change}},
        {task: whole | change},
        {task: {"name": whole["name"], "state": "absent"}},
    ]


def test_what_a_module_refuses(play):
    wrong = [
        ("yc_vpc_network", {"name": "a", "lables": {}}, "there is no option lables (did you mean labels?)"),
        (
            "yc_vpc_subnet",
            {"name": "b", "dhcp": {"domain_nme": "x"}},
            "no option dhcp.domain_nme (did you mean domain_name?)",
        ),
        ("yc_vpc_subnet", {"name": "b"}, "vpc_subnet b: it does not exist; to create it set: network, zone, cidr"),
        (
            "yc_serverless_container",
            {"name": "api", "concurrency": 0},
            "serverless_container api: concurrency: 0 is not",
        ),
        ("yc_vpc_network", {"name": "a", "auth": "token"}, "auth: token needs the option token or the environment"),
    ]
    results = play(*({f"stagecraft.platform.{module}": options} for module, options, _ in wrong)).results
    for result, (_, _, says) in zip(results, wrong, strict=True):
        assert result["failed"] and says in result["msg"], result
