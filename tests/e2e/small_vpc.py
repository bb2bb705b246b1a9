"""A small stage, made call by call with the SDK, and the ways into its machines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from sdk_calls import Caller
from waiting import wait_for

ANYWHERE = {"v4_cidr_blocks": ["0.0.0.0/0"]}
INGRESS, EGRESS = 1, 2  # vpc.v1.SecurityGroupRule.Direction
GB = 1 << 30


class SmallVpc:
    """One network: subnet `front` with a gateway, subnet `back` without; a bastion with a public address."""

    def __init__(self, cloud: Caller, netns: Path, folder: Path) -> None:
        self.cloud, self.netns, self.folder = cloud, netns, folder
        self.machines: dict[str, dict[str, Any]] = {}
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)

    def build_network(self) -> None:
        create = self.cloud.create
        self.network = create("vpc.v1.NetworkService", name="main")["id"]
        gateway = create("vpc.v1.GatewayService", name="gateway", shared_egress_gateway_spec={})["id"]
        route = {"destination_prefix": "0.0.0.0/0", "gateway_id": gateway}
        table = create("vpc.v1.RouteTableService", name="out", network_id=self.network, static_routes=[route])["id"]
        self.gateway, self.table = gateway, table
        self.subnets = {
            "front": self._subnet("front", "10.10.0.0/24", "ru-central1-a", route_table_id=table),
            "back": self._subnet("back", "10.10.1.0/24", "ru-central1-b"),
        }
        ssh = self.rule(INGRESS, "TCP", 22, cidr_blocks=ANYWHERE)
        out = self.rule(EGRESS, "ANY", cidr_blocks=ANYWHERE)
        self.group_bastion = self._group("bastion", [ssh, out])
        from_bastion = self.rule(INGRESS, "TCP", 22, security_group_id=self.group_bastion)
        web = self.rule(INGRESS, "TCP", 8080, cidr_blocks={"v4_cidr_blocks": ["10.10.0.0/16"]})
        self.group_inner = self._group("inner", [from_bastion, web, out])

    def _subnet(self, name: str, block: str, zone: str, **more: Any) -> str:
        request = {"name": name, "network_id": self.network, "zone_id": zone, "v4_cidr_blocks": [block], **more}
        return self.cloud.create("vpc.v1.SubnetService", **request)["id"]

    def _group(self, name: str, rules: list[dict[str, Any]]) -> str:
        request = {"name": name, "network_id": self.network, "rule_specs": rules}
        return self.cloud.create("vpc.v1.SecurityGroupService", **request)["id"]

    @staticmethod
    def rule(direction: int, protocol: str, port: int | None = None, **target: Any) -> dict[str, Any]:
        ports = {"ports": {"from_port": port, "to_port": port}} if port else {}
        return {"direction": direction, "protocol_name": protocol, **ports, **target}

    def rules(self, group: str) -> list[dict[str, Any]]:
        return self.cloud("vpc.v1.SecurityGroupService.Get", security_group_id=group)["rules"]

    def build_machine(self, name: str, subnet: str, group: str, *, public: bool = False) -> None:
        image = self.cloud("compute.v1.ImageService.GetLatestByFamily", folder_id="standard-images", family="debian-12")
        user = {
            "name": "stagecraft",
            "shell": "/bin/bash",
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": [self.key.with_suffix(".pub").read_text().strip()],
        }
        address = {"one_to_one_nat_spec": {"ip_version": "IPV4"}} if public else {}
        interface = {
            "subnet_id": self.subnets[subnet],
            "primary_v4_address_spec": address,
            "security_group_ids": [group],
        }
        self.machines[name] = self.cloud.create(
            "compute.v1.InstanceService",
            name=name,
            hostname=name,
            zone_id="ru-central1-a" if subnet == "front" else "ru-central1-b",
            platform_id="standard-v3",
            resources_spec={"memory": GB // 2, "cores": 2},
            metadata={"user-data": "#cloud-config\n" + json.dumps({"users": [user]})},
            boot_disk_spec={"auto_delete": True, "disk_spec": {"image_id": image["id"], "size": 10 * GB}},
            network_interface_specs=[interface],
        )

    def address(self, name: str) -> str:
        return self.machines[name]["network_interfaces"][0]["primary_v4_address"]["address"]

    def public_address(self, name: str) -> str:
        return self.machines[name]["network_interfaces"][0]["primary_v4_address"]["one_to_one_nat"]["address"]

    def serial(self, name: str) -> str:
        ident = self.machines[name]["id"]
        return self.cloud("compute.v1.InstanceService.GetSerialPortOutput", instance_id=ident).get("contents", "")

    # ---- ways in ----
    def write_ssh_config(self) -> None:
        """Host keys come from the serial port only; an unknown one is refused."""
        known, config = self.folder / "known_hosts", ["Host *"]
        config += [f"  IdentityFile {self.key}", f"  UserKnownHostsFile {known}", "  StrictHostKeyChecking yes"]
        config += ["  User stagecraft", "  BatchMode yes", "  ConnectTimeout 5", "  ControlMaster no"]
        lines = []
        for name in self.machines:
            block = wait_for(f"host keys of {name}", lambda name=name: _host_keys(self.serial(name)), 180)
            where = self.public_address(name) if name == "bastion" else self.address(name)
            lines += [f"{where} {' '.join(line.split()[:2])}" for line in block]
            jump = [] if name == "bastion" else ["  ProxyJump bastion"]
            config += [f"Host {name}", f"  HostName {where}", *jump]
        known.write_text("\n".join(lines) + "\n")
        (self.folder / "ssh_config").write_text("\n".join(config) + "\n")

    def ssh(self, name: str, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command on a machine, from the rehearsal's internet."""
        config = str(self.folder / "ssh_config")
        # A jump starts an ssh of its own, which reads the same configuration.
        done = self.outside("ssh", "-F", config, name, command)
        assert done.returncode == 0 or not check, f"{name}: {command}: {done.stdout}{done.stderr}"
        return done

    def outside(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the rehearsal's internet."""
        command = ["nsenter", f"--net={self.netns}", "--", *argv]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)

    def visitor_reaches(self, address: str, port: int) -> bool:
        """Whether somebody out there opens a TCP connection."""
        probe = f"import socket; socket.create_connection(('{address}', {port}), 2)"
        done = self.outside(sys.executable, "-c", probe)
        assert done.returncode == 0 or "TimeoutError" in done.stderr or "OSError" in done.stderr, done.stderr
        return done.returncode == 0

    def reaches(self, name: str, address: str, port: int) -> bool:
        """Whether a machine opens a TCP connection."""
        probe = f"import socket; socket.create_connection(('{address}', {port}), 3)"
        return self.ssh(name, f'python3 -c "{probe}"', check=False).returncode == 0


def _host_keys(console: str) -> list[str]:
    found = re.search(r"BEGIN SSH HOST KEY KEYS-+\s+(.*?)-+END SSH HOST KEY KEYS", console, re.S)
    # systemd writes to the same console, between the keys too.
    lines = found.group(1).splitlines() if found else []
    return [line.strip() for line in lines if line.startswith(("ssh-", "ecdsa-"))]
