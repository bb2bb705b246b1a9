"""How the units of a stage are confined: what they have in common, once."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: hardening
short_description: Confine a systemd unit
description:
  - The sandbox settings that every unit of a stage has, as lines of a unit's C([Service]) section.
  - The input holds the unit's own settings, by name. They are added to the common ones or replace them; with C(null) one is
    left out.
  - A list is a line an item, which systemd adds up. A boolean is written as systemd does.
options:
  _input:
    description: The unit's own settings.
    type: dict
    required: true
author: Stagecraft
"""

EXAMPLES = r"""
- name: In a template of a unit
  ansible.builtin.debug:
    msg: "{{ {'ReadWritePaths': '/var/lib/product', 'MemoryDenyWriteExecute': none} | stagecraft.platform.hardening }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: str
"""

# No user namespace (PrivateUsers): systemd 252 cannot combine it with ProtectProc in a container.
COMMON = {
    "AmbientCapabilities": "",
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "LockPersonality": True,
    "MemoryDenyWriteExecute": True,
    "NoNewPrivileges": True,
    "PrivateDevices": True,
    "PrivateIPC": True,
    "PrivateTmp": True,
    "ProcSubset": "pid",
    "ProtectClock": True,
    "ProtectControlGroups": True,
    "ProtectHome": True,
    "ProtectHostname": True,
    "ProtectKernelLogs": True,
    "ProtectKernelModules": True,
    "ProtectKernelTunables": True,
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RemoveIPC": True,
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": True,
    "RestrictRealtime": True,
    "RestrictSUIDSGID": True,
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": ["@system-service", "~@privileged @resources"],
    "UMask": "0077",
}


def hardening(own):
    """Lines `Name=value`. Raises AnsibleFilterError for what is no dictionary, and for an exception from nothing."""
    if not isinstance(own, dict):
        raise AnsibleFilterError(f"hardening: settings by name are wanted, not {own!r}")
    if idle := sorted(name for name, value in own.items() if value is None and name not in COMMON):
        raise AnsibleFilterError(f"hardening: {', '.join(idle)} is none of the common settings, so nothing is left out")
    settings = {name: value for name, value in (COMMON | own).items() if value is not None}
    return "\n".join(
        f"{name}={written(one)}"
        for name, value in sorted(settings.items())
        for one in (value if isinstance(value, list) else [value])
    )


def written(value):
    """A value as systemd writes it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


class FilterModule:
    """The filter, by name."""

    def filters(self):
        return {"hardening": hardening}
