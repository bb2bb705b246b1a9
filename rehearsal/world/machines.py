"""Instances as systemd containers, provisioned by the real cloud-init from the instance's metadata."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from rehearsal.places import PACKAGES, PACKAGES_PORT, Place
from rehearsal.world import images, shell
from rehearsal.world.topology import Subnet

INTERNAL_DOMAINS = ("ru-central1.internal", "auto.internal")
STOP_SECONDS = 20
SERIAL_LINES = 4000  # the cloud keeps the last megabyte of a console, too


class Machines:
    """The containers of one rehearsal's instances. A container lives as long as its instance; stopping keeps its disk."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def start(self, instance: Any, subnet: Subnet, family: str) -> None:
        """Create the machine from an image family if it does not exist, and start it. Its namespace exists already."""
        name = self._place.container(instance.id)
        status = self.status(instance.id)
        if status == "running":
            return
        self._write_seed(instance)
        if status:
            shell.podman("start", name)
            shell.podman("update", *_limits(instance), name)  # podman can say it to a running container only
            return
        # A family that no machine had before is built now; from here, Debian is reached through the cache only.
        image = images.ensure(family, apt_proxy=f"http://{PACKAGES}:{PACKAGES_PORT}")
        shell.podman("run", *self._options(instance, subnet), image, "/sbin/init")

    def status(self, instance: str) -> str:
        """podman's word for the state of a machine; empty when there is none."""
        listed = shell.podman("ps", "--all", "--filter", f"label=stagecraft.instance={instance}", "--format", "json")
        return next((c["State"] for c in json.loads(listed) if self._place.container(instance) in c["Names"]), "")

    def stop(self, instance: str) -> None:
        if self.status(instance):
            shell.podman("stop", "--time", str(STOP_SECONDS), self._place.container(instance))

    def delete(self, instance: str) -> None:
        """Remove the machine with its disk."""
        shell.podman("rm", "--force", "--ignore", "--time", "0", "--volumes", self._place.container(instance))
        shutil.rmtree(self._folder(instance), ignore_errors=True)

    def serial_output(self, instance: str) -> str:
        """The machine's console: what systemd and cloud-init print there, host keys among it."""
        if not self.status(instance):
            return ""
        return shell.podman("logs", "--tail", str(SERIAL_LINES), self._place.container(instance))

    def _folder(self, instance: str) -> Path:
        return self._place.folder / "machines" / instance

    def _options(self, instance: Any, subnet: Subnet) -> list[str]:
        domains = [subnet.domain, *INTERNAL_DOMAINS] if subnet.domain else INTERNAL_DOMAINS
        return [
            "--detach",
            "--tty",  # without a terminal there is no console, and no serial output
            f"--name={self._place.container(instance.id)}",
            f"--label={self._place.label}",
            f"--label=stagecraft.instance={instance.id}",
            f"--hostname={_hostname(instance)}",
            f"--network=ns:{shell.NETNS / self._place.netns(instance.id)}",
            f"--dns={subnet.resolver}",
            *(f"--dns-search={domain}" for domain in domains),
            "--no-hosts",  # /etc/hosts is the machine's own file
            "--systemd=always",
            "--ulimit=host",
            # Units' sandboxing needs SYS_ADMIN and is skipped in silence without it; without NET_ADMIN the machine can
            # neither see nor change its security groups.
            "--cap-add=SYS_ADMIN",
            "--security-opt=seccomp=unconfined",
            *_limits(instance),
            f"--shm-size={_megabytes(instance) // 2}m",
            f"--volume={self._folder(instance.id) / 'seed'}:/var/lib/cloud/seed/nocloud:ro",
        ]

    def _write_seed(self, instance: Any) -> None:
        """NoCloud's files, made of the instance's metadata. They may hold secrets: nobody else may look inside."""
        seed = self._folder(instance.id) / "seed"
        seed.mkdir(parents=True, exist_ok=True)
        seed.parent.chmod(0o700)
        for name, text in seed_files(instance).items():
            (seed / name).write_text(text)


def _limits(instance: Any) -> list[str]:
    """What the machine may use: memory without swap, as in the cloud, and no more cores than there are."""
    memory = f"{_megabytes(instance)}m"
    return [
        f"--cpus={min(instance.resources.cores or 1, os.cpu_count() or 1)}",
        f"--memory={memory}",
        f"--memory-swap={memory}",
    ]


def _megabytes(instance: Any) -> int:
    return instance.resources.memory >> 20 or 512


def seed_files(instance: Any) -> dict[str, str]:
    """cloud-init's view of an instance. JSON is YAML: cloud-init reads it."""
    meta = {"instance-id": instance.id, "local-hostname": instance.fqdn or _hostname(instance)}
    return {
        "meta-data": json.dumps(meta),
        "user-data": instance.metadata.get("user-data") or "#cloud-config\n{}\n",
        "vendor-data": "#cloud-config\n" + json.dumps({"users": ["default", *_users(instance)]}) + "\n",
    }


def _users(instance: Any) -> list[dict[str, Any]]:
    """`ssh-keys` of the metadata, lines of `user:key`: each user may log in and become root, as in the cloud. User-data
    with users of its own takes precedence over this."""
    keys: dict[str, list[str]] = {}
    for line in instance.metadata.get("ssh-keys", "").splitlines():
        user, colon, key = line.strip().partition(":")
        if colon and key:
            keys.setdefault(user, []).append(key.strip())
    return [
        {"name": user, "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL", "ssh_authorized_keys": lines}
        for user, lines in keys.items()
    ]


def _hostname(instance: Any) -> str:
    return instance.fqdn.partition(".")[0] or instance.id
