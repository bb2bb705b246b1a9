"""Which ports of a machine are open, and whose they are, from /proc alone."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator

from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_files import Found
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_packages import text

TABLES = ("tcp", "tcp6", "udp", "udp6")
LISTENING, UNCONNECTED = "0A", "07"  # the kernel's numbers of a socket's states
DHCP = (68, 546)  # clients open these for a moment whenever a lease is renewed
KERNEL = "kernel"
TICKS = os.sysconf("SC_CLK_TCK")


def ports(root: str) -> Found:
    """Ports by `<address>:<port>/<protocol>`: TCP that listens, and UDP below the range of ports that clients get."""
    proc = f"{root}/proc"
    names = {inode: name for table in TABLES for name, inode in sockets(proc, table)}
    began: dict[str, tuple[float, str]] = {}
    for inode, started, process in owners(proc, names):
        # A socket that systemd hands to a service stays systemd's: the older process is named.
        began[names[inode]] = min(began.get(names[inode], (started, process)), (started, process))
    things = {name: {"process": began[name][1] if name in began else KERNEL} for name in names.values()}
    return Found(things, lambda name, _: began[name][0] if name in began else None)


def sockets(proc: str, table: str) -> Iterator[tuple[str, str]]:
    """The name and the inode of each open port in one of the kernel's tables."""
    udp = table.startswith("udp")
    clients = int((text(proc, "sys/net/ipv4/ip_local_port_range").split() or ["32768"])[0])
    for line in text(proc, f"net/{table}").splitlines()[1:]:
        _, local, _, state, *more = line.split()
        address, _, hexadecimal = local.partition(":")
        port = int(hexadecimal, 16)
        if state == LISTENING or (udp and state == UNCONNECTED and port < clients and port not in DHCP):
            yield f"{shown(address)}:{port}/{table[:3]}", more[5]


def shown(address: str) -> str:
    """An address of the kernel's tables, which are words in the machine's order of bytes, as people write it."""
    words = [int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)]
    if len(words) == 1:
        return socket.inet_ntop(socket.AF_INET, words[0])
    return f"[{socket.inet_ntop(socket.AF_INET6, b''.join(words))}]"


def owners(proc: str, inodes: Iterable[str]) -> Iterator[tuple[str, float, str]]:
    """The inode, the start (in seconds since 1970) and the name of each process that holds one of these sockets."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in filter(str.isdigit, os.listdir(proc)):
        held = wanted.keys() & opened(f"{proc}/{pid}/fd")
        before, _, after = text(proc, f"{pid}/stat").rpartition(")") if held else ("", "", "")
        if after:
            started = booted + int(after.split()[19]) / TICKS
            yield from ((wanted[link], started, before.partition("(")[2]) for link in held)


def opened(folder: str) -> Iterator[str]:
    """What the descriptors of a process are; none of one that has ended meanwhile."""
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(folder):
            with contextlib.suppress(OSError):  # it was closed meanwhile
                yield os.readlink(f"{folder}/{descriptor}")
