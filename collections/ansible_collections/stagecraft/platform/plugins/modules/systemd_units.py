#!/usr/bin/python
# Copyright: Stagecraft contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Have several systemd units started and enabled, with one question where they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Several systemd units started now and at every boot
version_added: "0.1.0"
author: [Stagecraft contributors (@stagecraft)]
description:
  - Asks systemd once about all units, and starts and enables those that are not. Where a unit's file is newer than what
    systemd has read, it is told to read again first.
  - A unit whose conditions do not hold, such as chrony's where there is no clock to set, is skipped by systemd itself. It is
    tried once after each boot, and counts as started.
options:
  names:
    description: The units, with their suffix where it is not C(.service).
    type: list
    elements: str
    required: true
attributes:
  check_mode: {description: Says which would be started and enabled., support: full}
  diff_mode: {description: The state of each unit before and after., support: full}
"""

EXAMPLES = r"""
- name: Start the services now and at every boot
  stagecraft.platform.systemd_units:
    names: [ssh, chrony, auditd]
"""

RETURN = r"""
started:
  description: Units that were started.
  returned: always
  type: list
  elements: str
enabled:
  description: Units that were enabled.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

ASKED = (
    "NeedDaemonReload",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "ConditionResult",
    "ConditionTimestampMonotonic",
)
RUNS = ("active", "activating", "reloading")
# Of these, systemd itself says that there is nothing to enable.
AT_BOOT = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated")


class Failed(Exception):
    """A message for the person who runs this."""


def ask(module: AnsibleModule, names: list[str]) -> dict[str, dict[str, str]]:
    """What systemd knows of each unit, by the name that was asked for."""
    code, out, error = module.run_command(["systemctl", "show", "--property", ",".join(ASKED), "--", *names])
    if code:
        raise Failed(f"systemctl show: {error.strip()}")
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in out.strip().split("\n\n")]
    return dict(zip(names, blocks, strict=True))


def systemctl(module: AnsibleModule, verb: str, names: list[str]) -> None:
    """Change something, unless only asked what would change. Raises Failed with what systemctl says."""
    if module.check_mode:
        return
    code, _, error = module.run_command(["systemctl", verb, "--", *names])
    if code:
        raise Failed(f"systemctl {verb} {' '.join(names)}: {error.strip()}")


def was_skipped(unit: dict[str, str]) -> bool:
    """Whether systemd has looked at its conditions since the boot, and they did not hold."""
    return unit["ConditionResult"] == "no" and unit["ConditionTimestampMonotonic"] != "0"


def main() -> None:
    """Ask, and do what is left to do."""
    arguments = {"names": {"type": "list", "elements": "str", "required": True}}
    module = AnsibleModule(arguments, supports_check_mode=True)
    names = module.params["names"]
    try:
        there = ask(module, names) if names else {}
        if any(unit["NeedDaemonReload"] == "yes" for unit in there.values()):
            systemctl(module, "daemon-reload", [])
            there = ask(module, names)
        if unknown := [name for name, unit in there.items() if unit["LoadState"] != "loaded"]:
            states = ", ".join(f"{name} ({there[name]['LoadState']})" for name in unknown)
            raise Failed(f"systemd cannot start {states}: install its package first, or look at `systemctl status`")
        start = [n for n, unit in there.items() if unit["ActiveState"] not in RUNS and not was_skipped(unit)]
        enable = [n for n, unit in there.items() if unit["UnitFileState"] not in AT_BOOT]
        for verb, which in (("enable", enable), ("start", start)):
            if which:
                systemctl(module, verb, which)
    except Failed as error:
        module.fail_json(msg=str(error))
    before = {n: {"started": n not in start, "enabled": n not in enable} for n in names}
    after = {n: {"started": True, "enabled": True} for n in names}
    module.exit_json(
        changed=bool(start or enable), started=start, enabled=enable, diff={"before": before, "after": after}
    )


if __name__ == "__main__":
    main()
