"""The metadata service inside the networks: each machine gets the tokens of its own service account, of no other's."""

from __future__ import annotations

import functools
import socket
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from rehearsal.cloud.metadata import Service
from rehearsal.places import METADATA
from rehearsal.world import shell, topology

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud
    from rehearsal.world.network import Network

PORT = 80


class Metadata:
    """One service a network. They are part of the emulator's process, and answer as long as it does."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._services: dict[str, Service] = {}

    def sync(self, cloud: Cloud, networks: tuple[str, ...]) -> None:
        """Answer in these networks. A socket keeps its namespace alive: those of networks that are gone are closed."""
        for gone in self._services.keys() - set(networks):
            self._services.pop(gone).stop()
        for network in set(networks) - self._services.keys():
            with shell.entered(self._network.router(network)):
                listening = socket.create_server((str(METADATA), PORT))
            service = Service(cloud.identity.grant, functools.partial(account_of, cloud, network), listening)
            service.start()
            self._services[network] = service


def account_of(cloud: Cloud, network: str, address: str) -> str:
    """The service account of the machine that has this address in a network; empty where there is none."""
    wanted = IPv4Address(address)
    there = {
        endpoint.id
        for endpoint, interface in topology.read(cloud).interfaces_of(network)
        if interface.address == wanted
    }
    return next((i.service_account_id for i in cloud.all("compute.v1.Instance") if i.id in there), "")
