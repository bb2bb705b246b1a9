"""Two hundred declarations of all kinds, as one large stage could have them, or some times as many."""

from __future__ import annotations

ZONES = ("ru-central1-a", "ru-central1-b", "ru-central1-d")


def declared(times: int = 1) -> dict:
    """By kind and name."""
    networks, accounts, clusters = range(4 * times), range(8 * times), range(3 * times)
    machines, disks, giving = range(28 * times), range(6 * times), len(accounts) * 3 // 4
    hosts = [{"zone": ZONES[0], "subnet": "subnet-0-0"}]
    return {
        "vpc_network": {f"network-{n}": {} for n in networks},
        "vpc_gateway": {"egress": {}},
        "vpc_route_table": {
            f"private-{n}": {"network": f"network-{n}", "routes": [{"destination": "0.0.0.0/0", "gateway": "egress"}]}
            for n in networks
        },
        "vpc_subnet": {
            f"subnet-{n}-{i}": {
                "network": f"network-{n}", "zone": ZONES[i % 3], "cidr": [f"10.{n}.{i}.0/24"], "route_table": f"private-{n}"
            }
            for n in networks for i in range(6)
        },
        "vpc_security_group": {f"group-{n}-{i}": group(n, i) for n in networks for i in range(4)},
        "vpc_address": {f"address-{i}": {"zone": ZONES[i % 3]} for i in range(4 * times)},
        "iam_service_account": {f"account-{i}": {} for i in accounts},
        "iam_folder_binding": [{"service_account": f"account-{i}", "role": "storage.viewer"} for i in accounts[:giving]],
        "iam_folder_roles": [{"service_account": f"account-{i}", "roles": ["viewer"]} for i in accounts[giving:]],
        "iam_access_key": [key(f"account-{i}", "storage", f"kept-{i}") for i in accounts[: 2 * times]],
        "iam_api_key": [key(f"account-{i}", "models", f"kept-{i}") for i in accounts[2 * times : 4 * times]],
        "iam_key": [key(f"account-{i}", "controller", f"kept-{i}") for i in accounts[4 * times : 5 * times]],
        "kms_symmetric_key": {f"key-{i}": {"rotation_period": "365d"} for i in range(2 * times)},
        "lockbox_secret": {f"secret-{i}": {"generate": {"key": "password", "length": 24}} for i in range(20 * times)}
        | {f"kept-{i}": {} for i in range(5 * times)},
        "storage_bucket": {f"bench-bucket-{i}": {"max_size": "10GB"} for i in disks},
        "compute_instance": {f"machine-{i}": machine(i) for i in machines},
        "compute_disk": {f"data-{i}": {"zone": ZONES[i % 3], "size": "10GB"} for i in disks},
        "compute_snapshot": {f"before-{i}": {"disk": f"data-{i}"} for i in range(2 * times)},
        "compute_snapshot_schedule": {
            "nightly": {"expression": "0 2 * * *", "snapshot_count": 7, "disks": [f"data-{i}" for i in disks]}
        },
        "dns_zone": {"internal": {"zone": "bench.internal.", "networks": ["network-0"]}},
        "dns_record_set": [
            {"dns_zone": "internal", "name": f"machine-{i}.bench.internal.", "type": "A", "instances": [f"machine-{i}"]}
            for i in machines
        ],
        "postgresql_cluster": {
            f"cluster-{i}": {"network": "network-0", "preset": "s3-c2-m8", "disk_size": "10GB", "hosts": hosts}
            for i in clusters
        },
        "postgresql_user": [
            {"cluster": f"cluster-{i}", "name": f"user-{n}", "password": "only-for-the-bench"}
            for i in clusters
            for n in range(4)
        ],
        "postgresql_database": [
            {"cluster": f"cluster-{i}", "name": f"data-{n}", "owner": f"user-{n}"} for i in clusters for n in range(4)
        ],
    }  # fmt: skip


def group(network: int, i: int) -> dict:
    rules = [
        {"direction": "ingress", "protocol": "tcp", "ports": {"from": port, "to": port}, "cidr": ["10.0.0.0/8"]}
        for port in range(8000, 8000 + 2 * (i + 1))
    ]
    return {"network": f"network-{network}", "rules": rules}


def key(account: str, name: str, secret: str) -> dict:
    return {"service_account": account, "name": name, "save_to": {"secret": secret}}


def machine(i: int) -> dict:
    return {
        "zone": ZONES[i % 3],
        "image": "debian-12",
        "cores": 2,
        "memory": "4GB",
        "disk_size": "10GB",
        "network_interfaces": [{"subnet": f"subnet-0-{i % 6}", "security_groups": [f"group-0-{i % 4}"]}],
    }
