"""Texts of `ssh_config` and `known_hosts` for a stage's machines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HEADER = "# Written by stagecraft.platform.ssh_config: changes made here are lost.\n"
INSTANCE = re.compile(r"# instance (\S+) (\S+)$")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SOCKET_LIMIT = 104  # bytes, of the shortest sun_path in use
SOCKET_NAME = 40 + 17  # what ssh makes of %C, and what it appends while it listens


def known_keys(text: str) -> dict[str, list[str]]:
    """Keys by instance id in a known_hosts file that `known_hosts` made. Other lines count for nothing."""
    keys: dict[str, list[str]] = {}
    current = None
    for line in text.splitlines():
        if match := INSTANCE.match(line):
            current = keys.setdefault(match.group(1), [])
        elif current is not None and len(parts := line.split()) == 3:
            current.append(f"{parts[1]} {parts[2]}")
    return {instance: sorted(found) for instance, found in keys.items() if found}


def known_hosts(machines: list[dict[str, Any]]) -> str:
    """Each machine under its name and addresses. The id in the comment tells a machine from its successor."""
    lines = [HEADER]
    for machine in machines:
        names = ",".join(filter(None, [machine["name"], machine["private_ip"], machine["public_ip"]]))
        lines.append(f"# instance {machine['id']} {machine['name']}\n")
        lines += [f"{names} {key}\n" for key in machine["keys"]]
    return "".join(lines)


def ssh_config(machines: list[dict[str, Any]], bastion: str | None, options: dict[str, Any]) -> str:
    """One `Host` a machine, reached through `bastion` (a machine's name), and what holds for all of them."""
    blocks = [HEADER]
    for machine in machines:
        direct = bastion is None or machine["name"] == bastion
        address = (machine["public_ip"] if direct else "") or machine["private_ip"]
        jump = [] if direct else [f"ProxyJump {bastion}"]
        blocks.append(_block(machine["name"], [f"HostName {address}", *jump]))
    common = [
        f"User {options['user']}",
        *(
            [f"IdentityFile {_quoted(options['identity_file'])}", "IdentitiesOnly yes"]
            if options["identity_file"]
            else []
        ),
        f"UserKnownHostsFile {_quoted(options['known_hosts'])}",
        "GlobalKnownHostsFile /dev/null",
        "StrictHostKeyChecking yes",
        "UpdateHostKeys no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "ForwardAgent no",
        "ConnectTimeout 15",
        "ServerAliveInterval 15",
        "ServerAliveCountMax 4",
        "ControlMaster auto",
        "ControlPersist 60s",
        f"ControlPath {_quoted(options['control_folder'] + '/%C')}",
    ]
    if machines:
        blocks.append(_block(" ".join(m["name"] for m in machines), common))
    return "\n".join(blocks)


def problems(machines: list[dict[str, Any]], control_folder: str) -> list[str]:
    """What ssh would stumble over."""
    found = [
        f"instance {m['id']} has a name that ssh cannot use: {m['name']!r}"
        for m in machines
        if not NAME.fullmatch(m["name"])
    ]
    found += [f"{m['name']} has no address" for m in machines if not m["private_ip"] and not m["public_ip"]]
    if len(control_folder.encode()) + 1 + SOCKET_NAME > SOCKET_LIMIT:
        found.append(
            f"control_folder {control_folder} is too long for a socket: "
            f"give one of at most {SOCKET_LIMIT - SOCKET_NAME - 1} bytes"
        )
    return found


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _block(host: str, lines: list[str]) -> str:
    return f"Host {host}\n" + "".join(f"    {line}\n" for line in lines)


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
