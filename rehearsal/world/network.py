"""Network namespaces, bridges, routes and address translation, made what the cloud's VPC says."""

from __future__ import annotations

import threading
from ipaddress import IPv4Address

from rehearsal.places import Place
from rehearsal.world.topology import Endpoint, Topology


class Network:
    """The network of one rehearsal.

    For whoever runs something that is not an instance (a database host) on a subnet: `attach(id, subnet, address)`
    makes the namespace `place.netns(id)` with `eth0` at that address, and a default route; run the container with
    `--network ns:/run/netns/<place.netns(id)>`. Everything else (firewall, names) follows from the Endpoint that you
    return from `Databases.endpoints(cloud)`, at the next `sync`. `detach(id)` removes the namespace again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.RLock()

    def sync(self, wanted: Topology) -> None:
        """Make the machine's namespaces what `wanted` says; applies only what differs."""
        raise NotImplementedError

    def attach(self, endpoint: str | Endpoint, subnet: str = "", address: IPv4Address | str = "") -> str:
        """Make or complete the namespace of an endpoint; its name. Raises WorldError for an unknown subnet."""
        raise NotImplementedError

    def detach(self, endpoint: str) -> None:
        """Remove an endpoint's namespace, and with it its links and its firewall."""
        raise NotImplementedError
