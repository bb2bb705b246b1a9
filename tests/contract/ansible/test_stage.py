"""A stage like partners by real Ansible: from nothing, again, changed, and back to nothing; one life of every service."""

from ansible_runs import contents, stack

MACHINE = {
    "zone": "ru-central1-a",
    "cores": 2,
    "memory": "2GB",
    "image": "debian-12",
    "disk_size": "10GB",
    "service_account": "robot",
    "metadata": {"user-data": "#cloud-config\n"},
    "network_interfaces": [{"subnet": "private-a", "security_groups": ["base", "app"]}],
}


def stage(**changed):
    """In an order in which nothing could be made one after the other."""
    return {
        "dns_record_set": [
            {"dns_zone": "internal", "name": "api.partners.internal.", "type": "A", "instances": ["api-1"]},
            {
                "dns_zone": "internal",
                "name": "pg.partners.internal.",
                "type": "CNAME",
                "ttl": "1m",
                "postgresql_cluster": "pg",
            },
        ],
        "compute_instance": {
            "api-1": {**MACHINE, "labels": {"stagecraft-role": "backend"}},
            "bastion-1": {
                **MACHINE,
                "network_interfaces": [{"subnet": "public-a", "nat": True, "public_address": "entry"}],
            },
        },
        "postgresql_database": [{"cluster": "pg", "name": "app", "owner": "app", "extensions": [{"name": "pg_trgm"}]}],
        "postgresql_user": [
            {"cluster": "pg", "name": "app", "password_secret": {"secret": "database", "key": "password"}}
        ],
        "postgresql_cluster": {
            "pg": {
                "network": "main",
                "version": "15",
                "preset": "s3-c2-m8",
                "disk_size": "20GB",
                "hosts": [{"zone": "ru-central1-a", "subnet": "private-a"}],
                "security_groups": ["app"],
            }
        },
        "iam_folder_binding": [{"service_account": "robot", "role": "storage.viewer"}],
        "iam_service_account": {"robot": {}},
        "iam_access_key": [{"service_account": "robot", "name": "storage", "save_to": {"secret": "storage-key"}}],
        "storage_bucket": {"partners-models": {"max_size": "50GB", "versioning": "enabled"}},
        "lockbox_secret": {
            "database": {"generate": {"key": "password", "length": 32, "punctuation": False}},
            "storage-key": None,
        },
        "vpc_security_group": {
            "base": {
                "network": "main",
                "rules": [{"direction": "egress", "cidr": ["0.0.0.0/0"]}],
            },
            "app": {
                "network": "main",
                "rules": [
                    {
                        "direction": "ingress",
                        "protocol": "tcp",
                        "ports": {"from": 8443, "to": 8443},
                        "security_group": "base",
                    }
                ],
            },
        },
        "vpc_subnet": {
            "private-a": {
                "network": "main",
                "zone": "ru-central1-a",
                "cidr": ["10.10.1.0/24"],
                "route_table": "private",
            },
            "public-a": {"network": "main", "zone": "ru-central1-a", "cidr": ["10.10.0.0/24"]},
        },
        "vpc_route_table": {
            "private": {"network": "main", "routes": [{"destination": "0.0.0.0/0", "gateway": "egress"}]}
        },
        "vpc_gateway": {"egress": {}},
        "vpc_address": {"entry": {"zone": "ru-central1-a"}},
        "dns_zone": {"internal": {"zone": "partners.internal.", "networks": ["main"]}},
        "vpc_network": {"main": None},
    } | changed


WHO = {"stage": "partners", "app": "digits"}
COUNT = 22  # declarations


def test_the_life_of_a_stage(play, cloud):
    smaller = stage(iam_folder_binding=[], vpc_gateway={}, vpc_route_table={})
    smaller["vpc_subnet"]["private-a"]["route_table"] = ""
    smaller["storage_bucket"]["partners-models"]["max_size"] = "60GB"
    would_run = {**stack(stage(), **WHO), "check_mode": True}
    would_smaller = {**stack(smaller, **WHO, prune=True), "check_mode": True}
    would_delete = {**stack(stage(), **WHO, state="absent"), "check_mode": True}
    run = play(
        would_run,
        stack(stage(), **WHO),
        stack(stage(), **WHO),
        would_run,
        would_smaller,
        stack(smaller, **WHO),
        stack(smaller, **WHO, prune=True),
        contents(fail_if_any=True),
        would_delete,
        stack(stage(), **WHO, state="absent"),
        stack(stage(), **WHO, state="absent"),
        contents(fail_if_any=True),
        options=("--diff",),
    )
    would, made, same, wont, would_prune, changed, pruned, full, would_go, gone, again, empty = run.results
    for result in (would, made, same, wont, would_prune, changed, pruned, would_go, gone, again, empty):
        assert not result["failed"], result["msg"]
    assert len(made["results"]) == COUNT and all(row["changed"] for row in made["results"])
    assert [row["item"] for row in would["results"] if row["changed"]] == [row["item"] for row in made["results"]]
    assert not same["changed"] and not wont["changed"] and not same["diff"]
    assert made["undeclared"] == same["undeclared"] == []

    left = [f"{row['kind']} {row['name']}" for row in changed["undeclared"]]
    assert left == ["vpc_gateway egress", "vpc_route_table private"]
    assert [row["item"] for row in changed["results"] if row["changed"]] == [
        "storage_bucket partners-models",
        "vpc_subnet private-a",
    ]
    assert {"before": {"max_size": "50GB"}, "after": {"max_size": "60GB"}}.items() <= changed["diff"][0].items()
    assert would_prune["changed"]
    deleted = sorted(row["item"] for row in pruned["results"] if row["changed"])
    assert deleted == ["vpc_gateway egress", "vpc_route_table private"]

    assert full["failed"] and full["count"] == len(full["resources"]) and "postgresql_cluster pg" in full["msg"]
    kinds = {row["kind"] for row in full["resources"]}
    assert {"compute_disk", "iam_folder_binding", "vpc_security_group", "storage_bucket", "lockbox_secret"} <= kinds
    assert would_go["changed"] and gone["changed"] and not again["changed"] and gone["undeclared"] == []
    assert empty["resources"] == []
    assert empty["not_asked"]["k8s_cluster"] == "UNIMPLEMENTED"  # a service that this cloud lacks is named
    assert not {"postgresql_cluster", "compute_disk", "vpc_subnet"} & empty["not_asked"].keys()

    for line in (
        "  to create  vpc_subnet private-a",
        f"  to create {COUNT}",
        "  created  vpc_subnet private-a  ",
        f"  created {COUNT}",
        f"  unchanged {COUNT}",
        "  updated  storage_bucket partners-models (max_size)",
        "  undeclared  vpc_gateway egress",
        "  deleted  compute_instance api-1",
    ):
        assert line in run.output, line
    assert "--- before: vpc_subnet private-a" in run.output and "Traceback" not in run.output
