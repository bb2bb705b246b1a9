"""One life a service by real Ansible: the modules as they are packed, run and answered."""

from __future__ import annotations

import pytest
from ansible_runs import ROOT, stack

MODULES = ROOT / "collections/ansible_collections/stagecraft/platform/plugins/modules"
NETWORK = [
    {"vpc_network": {"name": "around"}},
    {"vpc_subnet": {"name": "a", "network": "around", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"]}},
]
LIVES = {
    "yc_vpc_network": ({"name": "main", "description": "First"}, {"description": "Second"}),
    "yc_iam_service_account": ({"name": "robot"}, {"description": "Reads"}),
    "yc_lockbox_secret": ({"name": "s", "entries": [{"key": "k", "text": "hunter2hunter2"}]}, {"description": "Kept"}),
    "yc_storage_bucket": ({"name": "by-ansible", "max_size": "10GB"}, {"versioning": "enabled"}),
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


def steps(module: str, whole: dict, change: dict) -> list[dict]:
    """Check mode, creation, repeat, update, deletion, repeat."""
    task = f"stagecraft.platform.{module}"
    name = {"name": whole["name"]}
    return [
        {task: whole, "check_mode": True},
        {task: whole},
        {task: {**name, **change}, "diff": True},
        {task: whole | change},
        {task: {**name, "state": "info"}},
        {task: {**name, "state": "absent"}},
        {task: {**name, "state": "absent"}},
    ]


def test_a_life_of_each_service(play):
    services = {module.split("_")[1] for module in LIVES}
    assert services == {p.stem.split("_")[1] for p in MODULES.glob("yc_*_*.py") if "Generated" in p.read_text()}
    tasks = [task for module, (whole, change) in LIVES.items() for task in steps(module, whole, change)]
    run = play(stack(NETWORK), *tasks, stack(NETWORK, state="absent"))
    assert run.code == 0, run.output
    results = iter(run.results[1:-1])
    for module, (_, change) in LIVES.items():
        would, made, updated, again, seen, gone, still_gone = [next(results) for _ in range(7)]
        told = [r["changed"] for r in (would, made, updated, again, seen, gone, still_gone)]
        assert told == [True, True, True, False, False, True, False], module
        assert would["diff"] == made["diff"] and would["exists"] is False
        assert set(updated["diff"]["after"]) == set(change)
        assert seen["exists"] and not still_gone["exists"]
    assert "hunter2" not in run.output


@pytest.mark.parametrize(
    ("module", "options", "says"),
    [
        ("yc_vpc_network", {"nmae": "a"}, "there is no option nmae (did you mean name?)"),
        (
            "yc_vpc_subnet",
            {"name": "b", "dhcp": {"domain_nme": "x"}},
            "no option dhcp.domain_nme (did you mean domain_name?)",
        ),
        ("yc_vpc_subnet", {"name": "b"}, "vpc_subnet b: it does not exist; to create it set: network, zone, cidr"),
        ("yc_vpc_network", {"name": "a", "auth": "token"}, "auth: token needs the option token or the environment"),
    ],
)
def test_what_a_module_refuses(play, module, options, says):
    (result,) = play({f"stagecraft.platform.{module}": options}).results
    assert result["failed"] and says in result["msg"], result
