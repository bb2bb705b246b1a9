"""Where a rehearsal's things are: folders, names and addresses, said once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

OWNERS = Path("/run/stagecraft")  # which state folder a rehearsal with machines belongs to, by its name
INTERNET = IPv4Network("198.51.100.0/24")  # RFC 5737, documentation: never routed outside
CONTROLLER = IPv4Address("198.51.100.1")  # the person and the playbooks
API = IPv4Address("198.51.100.2")  # the emulated cloud, port 443
STORAGE = IPv4Address("198.51.100.3")  # Object Storage, port 443
PACKAGES = IPv4Address("198.51.100.4")  # apt proxy, port 80
WHEELS = IPv4Address("198.51.100.6")  # Python packages, port 80
VISITOR = IPv4Address("198.51.100.5")  # somebody out there, for port scans
REST = IPv4Address("198.51.100.7")  # the emulated cloud for those who speak JSON, port 443
REGISTRY = IPv4Address("198.51.100.8")  # Container Registry, port 443
SERVERLESS = IPv4Address("198.51.100.9")  # serverless containers and API gateways, port 443
SERVERLESS_EGRESS = IPv4Address("198.51.100.10")  # what serverless containers come from
REGISTRY_NAME = "cr.yandex"
CONTAINERS, GATEWAYS = "containers.yandexcloud.net", "apigw.yandexcloud.net"  # the domains of their names
METADATA = IPv4Address("169.254.169.254")  # a machine asks here who it is, port 80
PUBLIC = IPv4Network("198.51.100.64/26")  # what the cloud gives to instances

PACKAGES_PORT = 80  # as out there: security groups need no rule of their own in a rehearsal
PROVIDER_RANGES = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))


def settle() -> None:
    """Make the folders that the environment names absolute: what this process starts may work in another folder."""
    for name in ("STAGECRAFT_STATE", "STAGECRAFT_CACHE"):
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).absolute())


def cache() -> Path:
    """What is built once and kept: the base image, wheels, packages."""
    return Path(os.environ.get("STAGECRAFT_CACHE", Path.home() / ".cache" / "stagecraft"))


def state() -> Path:
    """What a controller keeps of its stages: keys to machines, logs, rehearsals."""
    return state_of(os.environ.get("STAGECRAFT_STATE"))


def state_of(variable: str | None) -> Path:
    """The state folder that a value of STAGECRAFT_STATE means."""
    return Path(variable or Path.home() / ".local" / "state" / "stagecraft").absolute()


@dataclass(frozen=True)
class Place:
    """One rehearsal. Everything it makes on the machine carries its prefix, so that `down` finds it without a record."""

    name: str

    @property
    def folder(self) -> Path:
        return state() / self.name / "rehearsal"

    @property
    def cloud(self) -> Path:
        """The emulated cloud's own folder: its state, its journal, and the rehearsal's certificate authority."""
        return self.folder / "cloud"

    @property
    def owner(self) -> Path:
        """The file that names the rehearsal's folder: containers and namespaces have one name on the whole machine."""
        return OWNERS / self.name

    def foreign(self) -> Path | None:
        """The folder of the rehearsal that has this name's containers and namespaces, where it is not this one."""
        try:
            folder = Path(self.owner.read_text())
        except FileNotFoundError:
            return None
        except PermissionError:
            return self.owner  # root's, and only root makes them
        return folder if folder != self.folder and folder.exists() else None

    @property
    def prefix(self) -> str:
        return f"sc-{self.name}-"

    def netns(self, what: str) -> str:
        """The name of a network namespace: `internet`, a VPC's or a machine's id."""
        return f"{self.prefix}{what}"

    def container(self, what: str) -> str:
        return f"{self.prefix}{what}"

    @property
    def pulled(self) -> Path:
        """The file that names what was pulled from the rehearsal's registries: the machine's podman has it."""
        return self.folder / "registry" / "pulled"

    @property
    def label(self) -> str:
        """The label that every container of this rehearsal carries."""
        return f"stagecraft.rehearsal={self.name}"
