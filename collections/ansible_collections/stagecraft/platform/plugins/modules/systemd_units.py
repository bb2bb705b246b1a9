#!/usr/bin/python
# Copyright: Stagecraft contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Have several systemd units started and enabled, and others neither, with one question where they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Systemd units started now and at every boot, and others neither
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
  stopped:
    description: Units that must neither run nor start at boot, such as the one of a package whose program another unit runs.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {description: Says which would be started or stopped., support: full}
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
ended:
  description: Units of RV(ignore:stopped) that ran or were enabled.
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


def due(there: dict[str, dict[str, str]], names: list[str], stopped: list[str]) -> dict[str, list[str]]:
    """The units that are not as they should be, by what systemctl is to do, in that order. Raises Failed."""
    if unknown := [name for name in names if there[name]["LoadState"] != "loaded"]:
        states = ", ".join(f"{name} ({there[name]['LoadState']})" for name in unknown)
        raise Failed(f"systemd cannot start {states}: install its package first, or look at `systemctl status`")
    return {
        "stop": [n for n in stopped if there[n]["ActiveState"] in RUNS],
        "disable": [n for n in stopped if there[n]["UnitFileState"] in ("enabled", "enabled-runtime")],
        "enable": [n for n in names if there[n]["UnitFileState"] not in AT_BOOT],
        "start": [n for n in names if there[n]["ActiveState"] not in RUNS and not was_skipped(there[n])],
    }


def main() -> None:
    """Ask, and do what is left to do."""
    arguments = {
        "names": {"type": "list", "elements": "str", "required": True},
        "stopped": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(arguments, supports_check_mode=True)
    names, stopped = module.params["names"], module.params["stopped"]
    try:
        there = ask(module, [*names, *stopped]) if names or stopped else {}
        if any(unit["NeedDaemonReload"] == "yes" for unit in there.values()):
            systemctl(module, "daemon-reload", [])
            there = ask(module, [*names, *stopped])
        todo = due(there, names, stopped)
        for verb, which in todo.items():
            if which:
                systemctl(module, verb, which)
    except Failed as error:
        module.fail_json(msg=str(error))
    before = {n: {"started": n not in todo["start"], "enabled": n not in todo["enable"]} for n in names}
    before |= {n: {"started": n in todo["stop"], "enabled": n in todo["disable"]} for n in stopped}
    after = {n: {"started": n in names, "enabled": n in names} for n in before}
    module.exit_json(
        changed=any(todo.values()),
        started=todo["start"],
        enabled=todo["enable"],
        ended=[n for n in stopped if n in todo["stop"] + todo["disable"]],
        diff={"before": before, "after": after},
    )


if __name__ == "__main__":
    main()
