"""Two hundred declarations of all kinds, as one large stage could have them."""

from __future__ import annotations

ZONES = ("ru-central1-a", "ru-central1-b", "ru-central1-d")


def declared() -> dict:
    """By kind and name."""
    networks, accounts, clusters = range(4), range(8), range(3)
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
        "vpc_address": {f"address-{i}": {"zone": ZONES[i % 3]} for i in range(4)},
        "iam_service_account": {f"account-{i}": {} for i in accounts},
        "iam_folder_binding": [{"service_account": f"account-{i}", "role": "storage.viewer"} for i in accounts],
        "lockbox_secret": {f"secret-{i}": {"generate": {"key": "password", "length": 24}} for i in range(25)},
        "storage_bucket": {f"bench-bucket-{i}": {"max_size": "10GB"} for i in range(6)},
        "compute_instance": {f"machine-{i}": machine(i) for i in range(36)},
        "dns_zone": {"internal": {"zone": "bench.internal.", "networks": ["network-0"]}},
        "dns_record_set": [
            {"dns_zone": "internal", "name": f"machine-{i}.bench.internal.", "type": "A", "instances": [f"machine-{i}"]}
            for i in range(36)
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


def machine(i: int) -> dict:
    return {
        "zone": ZONES[i % 3],
        "image": "debian-12",
        "cores": 2,
        "memory": "4GB",
        "disk_size": "10GB",
        "network_interfaces": [{"subnet": f"subnet-0-{i % 6}", "security_groups": [f"group-0-{i % 4}"]}],
    }
