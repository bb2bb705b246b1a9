"""DNS in a rehearsal's networks. One process answers at the second address of every subnet, inside its network; and in
the rehearsal's internet, at the addresses that this machine's resolv.conf names, which are nobody else's in there.

What to answer is a file, `names.json` in the rehearsal's folder: {network: {netns, listen: [address], records: {name:
{type: [ttl, [data]]}}}}. The emulator writes it (`snapshot`, `write`); the server looks at it again before every answer.
So names go on resolving while the API is away, as they do in the cloud."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnslib import CLASS, QTYPE, RCODE, RR, SOA, DNSError, DNSHeader, DNSRecord

from rehearsal import files
from rehearsal.places import CONTAINERS, GATEWAYS, REGISTRY, REGISTRY_NAME, REST, SERVERLESS, STORAGE, Place
from rehearsal.serverless import network as serverless
from rehearsal.world import shell, topology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rehearsal.world.topology import Topology

PORT = 53
TTL = 300  # seconds, for what the cloud itself names
UDP_LIMIT = 1232  # bytes; longer answers are asked again over TCP
ALIASES = 8  # how far a chain of CNAMEs is followed
LOOK_SECONDS = 0.2
ENDPOINTS = {
    "storage.yandexcloud.net": STORAGE,
    "*.storage.yandexcloud.net": STORAGE,
    "*.api.cloud.yandex.net": REST,
    REGISTRY_NAME: REGISTRY,
    f"*.{CONTAINERS}": SERVERLESS,
    f"*.{GATEWAYS}": SERVERLESS,
}
INTERNET = "internet"  # the network of everybody outside of the cloud, the controller among them
RESOLV_CONF = Path("/etc/resolv.conf")
Records = dict[str, dict[str, list[Any]]]  # name: type: [ttl, data]
log = logging.getLogger(__name__)


def full(name: str) -> str:
    """A host name as DNS compares it: lower case, with the final dot."""
    return name.lower().rstrip(".") + "."


def snapshot(place: Place, wanted: Topology, zones: Iterable[tuple[Any, list[Any]]]) -> dict[str, Any]:
    """What every network may ask, serverless containers, and who is outside. `zones` are pairs of DnsZone and its
    RecordSets."""
    zones = list(zones)
    outside = _with_zones(_cloud_s_own(), zones, "")
    networks = {
        INTERNET: {
            "netns": place.netns(INTERNET),
            "listen": resolvers(),
            "records": outside,
        },
        serverless.NAME: {
            "netns": serverless.router(place),
            "listen": [str(serverless.RESOLVER)],
            "records": outside,
        },
    }
    for network in wanted.networks:
        records = _cloud_s_own()
        for endpoint in {endpoint.id: endpoint for endpoint, _ in wanted.interfaces_of(network)}.values():
            address = endpoint.interfaces[0].address
            for name in endpoint.names:
                _add(records, name, "A", str(address))
            if endpoint.names:
                _add(records, address.reverse_pointer, "PTR", full(endpoint.names[0]))
        _with_zones(records, zones, network)
        networks[network] = {
            "netns": place.netns(f"vpc-{network}"),
            "listen": sorted(str(subnet.resolver) for subnet in wanted.subnets_of(network)),
            "records": records,
        }
    return networks


def _cloud_s_own() -> Records:
    """The names of the cloud's services."""
    records: Records = {}
    for name, address in ENDPOINTS.items():
        _add(records, name, "A", str(address))
    return records


def _with_zones(records: Records, zones: list[tuple[Any, list[Any]]], network: str) -> Records:
    """The records, and those of the zones that a network sees; '' sees the public ones."""
    for zone, record_sets in zones:
        if zone.HasField("public_visibility") or network in zone.private_visibility.network_ids:
            for item in record_sets:
                name = item.name if item.name.endswith(".") else f"{item.name}.{zone.zone}"
                records.setdefault(full(name), {})[item.type.upper()] = [item.ttl, list(item.data)]
    return records


def resolvers() -> list[str]:
    """The IPv4 addresses that programs on this machine ask for names; the resolver's own default where none is said."""
    try:
        lines = [line.split() for line in RESOLV_CONF.read_text().splitlines()]
    except FileNotFoundError:
        lines = []
    found = {line[1] for line in lines if len(line) > 1 and line[0] == "nameserver" and ":" not in line[1]}
    return sorted(found) or ["127.0.0.1"]


def prepare(place: Place) -> None:
    """The addresses at which the rehearsal's internet asks for names, and what is there to ask before there is a
    network."""
    shell.ip(place.netns(INTERNET), *(f"address replace {address}/32 dev lo" for address in resolvers()))
    if not file_of(place).exists():
        write(place, snapshot(place, topology.EMPTY, ()))


def _add(records: dict[str, dict[str, list[Any]]], name: str, kind: str, data: str) -> None:
    records.setdefault(full(name), {}).setdefault(kind, [TTL, []])[1].append(data)


def file_of(place: Place) -> Path:
    return place.folder / "names.json"


def write(place: Place, networks: dict[str, Any]) -> None:
    """Hand the server what to answer from now on; a reader sees the old file or the new one."""
    files.write(file_of(place), json.dumps(networks, sort_keys=True))


def answer(records: dict[str, dict[str, list[Any]]], question: DNSRecord) -> DNSRecord:
    """The answer to one question from a network's records."""
    reply = question.reply(ra=1, aa=1)
    if question.header.opcode != 0 or len(question.questions) != 1:
        reply.header.rcode = RCODE.NOTIMP
        return reply
    name, kind = full(str(question.q.qname)), QTYPE[question.q.qtype]
    for _ in range(ALIASES):
        known = _lookup(records, name)
        if known is None:
            reply.header.rcode = RCODE.NXDOMAIN if not reply.rr else RCODE.NOERROR
            break
        for found in (
            [kind] if kind in known else ["CNAME"] if "CNAME" in known else list(known) if kind == "ANY" else []
        ):
            ttl, data = known[found]
            for item in data:
                reply.add_answer(*RR.fromZone(f"{name} {ttl} IN {found} {item}"))
        if kind in known or "CNAME" not in known:
            break
        name = full(known["CNAME"][1][0])
    if not reply.rr:
        # How long "there is no such name" may be remembered: not at all, names appear while machines ask for them.
        reply.add_auth(
            RR(question.q.qname, QTYPE.SOA, CLASS.IN, 0, SOA("ns.internal.", "root.internal.", (1, 60, 60, 60, 0)))
        )
    return reply


def _lookup(records: dict[str, dict[str, list[Any]]], name: str) -> dict[str, list[Any]] | None:
    """The record sets of a name, or of the wildcard above it; None where the name does not exist."""
    if name in records:
        return records[name]
    if any(other.endswith(f".{name}") for other in records):
        return {}
    parent = name.partition(".")[2]
    while parent:
        if (wildcard := records.get(f"*.{parent}")) is not None:
            return wildcard
        parent = parent.partition(".")[2]
    return None


class Server:
    """Keeps one UDP and one TCP socket for every resolver address in the file, and answers from the file."""

    def __init__(self, place: Place) -> None:
        self._file = file_of(place)
        self._stamp: tuple[int, int] | None = None
        self._networks: dict[str, Any] = {}
        self._open: dict[tuple[str, str], list[Any]] = {}  # (network, address): transport and server

    def refresh(self) -> None:
        """Read the file when it has changed."""
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._networks, self._stamp = json.loads(self._file.read_text()), stamp
        except FileNotFoundError:
            self._networks, self._stamp = {}, None

    def reply(self, network: str, packet: bytes, limit: int | None = None) -> bytes | None:
        """The answer to a packet; None for what is not a question."""
        try:
            question = DNSRecord.parse(packet)
        except (DNSError, ValueError, struct.error):
            return None
        if question.header.qr:
            return None
        self.refresh()
        try:
            done = answer(self._networks.get(network, {}).get("records", {}), question)
        except (DNSError, ValueError) as error:
            log.warning("%s: %s", question.q.qname, error)
            done = DNSRecord(DNSHeader(id=question.header.id, qr=1, rcode=RCODE.SERVFAIL), q=question.q)
        packed = done.pack()
        return done.truncate().pack() if limit and len(packed) > limit else packed

    async def run(self) -> None:
        """Serve for ever. A socket keeps its namespace alive: it is closed as soon as the network is gone."""
        while True:
            self.refresh()
            wanted = {(network, a): item["netns"] for network, item in self._networks.items() for a in item["listen"]}
            for key in self._open.keys() - wanted.keys():
                for each in self._open.pop(key):
                    each.close()
            for key in wanted.keys() - self._open.keys():
                try:
                    self._open[key] = await self._listen(*key, wanted[key])
                    log.info("network %s: answering at %s", *key)
                except OSError as error:  # the namespace is being made or removed: look again
                    log.info("network %s: %s: %s", *key, error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self, network: str, address: str, netns: str) -> list[Any]:
        loop, sockets = asyncio.get_running_loop(), []
        with shell.entered(netns):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                sockets.append(socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK))
        udp, tcp = sockets
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for each in sockets:
                each.bind((address, PORT))
        except OSError:
            for each in sockets:
                each.close()
            raise
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self, network), sock=udp)
        server = await asyncio.start_server(lambda r, w: self._stream(network, r, w), sock=tcp)
        return [transport, server]

    async def _stream(self, network: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                while size := struct.unpack("!H", await reader.readexactly(2))[0]:
                    if (done := self.reply(network, await reader.readexactly(size))) is None:
                        break
                    writer.write(struct.pack("!H", len(done)) + done)
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the asker has gone
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server, network: str) -> None:
        self._server, self._network = server, network

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if done := self._server.reply(self._network, data, UDP_LIMIT):
            self._transport.sendto(done, addr)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(Server(Place(sys.argv[1])).run())
