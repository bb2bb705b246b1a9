"""Which units of a machine start at boot, and which run: from systemd's links and one answer of systemctl."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable

from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_files import Found, changed_at

SYSTEM = "etc/systemd/system"
ASKED = (
    "Id", "Type", "LoadState", "ActiveState", "SubState", "UnitFileState", "TriggeredBy", "BusName", "Transient",
    "ConditionResult", "ConditionTimestampMonotonic", "ActiveEnterTimestamp", "InactiveEnterTimestamp",
)  # fmt: skip
COMMAND = [
    "systemctl", "show", "--timestamp=unix", f"--property={','.join(ASKED)}", "--", "*.service", "*.socket", "*.timer",
]  # fmt: skip
# The value of a unit that is not named.
DEFAULTS = {"enabled": "disabled", "active": "inactive"}
ACTIVE = "active"
QUIET = "active by itself"  # that it stops counts, that it starts does not
PASSING = "passing"  # on its way to another state, or skipped by its conditions: nothing can be told
# Those that somebody starts; others are started by something else.
STARTED = ("enabled", "enabled-runtime", "linked", "disabled")
# Sessions of people.
SESSIONS = (
    "user@", "user-runtime-dir@", "getty@", "serial-getty@", "console-getty", "container-getty@", "ssh@", "sshd@",
)  # fmt: skip


def units(root: str, answered: str, journal: Callable[[str], float | None]) -> Found:
    """Units that are enabled or masked by a link, and services, sockets and timers that are not just inactive.

    `answered` is what COMMAND prints. `journal` says when systemd last wrote of a unit.
    """
    links = enabled(root)
    things = {name: {"enabled": value} for name, (value, _) in links.items()}
    shown = {unit["Id"]: unit for unit in map(properties, answered.strip().split("\n\n")) if counts(unit)}
    for name, unit in shown.items():
        if (state := activity(unit)) != DEFAULTS["active"]:
            things.setdefault(name, {})["active"] = state
    folders = [f"{root}/{SYSTEM}", *wants(root)]

    def since(name: str, field: str) -> float | None:
        if field == "enabled":
            return changed_at(links[name][1]) if name in links else max(filter(None, map(changed_at, folders)))
        unit = shown.get(name, {})
        up = unit.get("ActiveState") == ACTIVE
        at = unit.get("ActiveEnterTimestamp" if up else "InactiveEnterTimestamp", "").lstrip("@")
        return float(at) if at and at != "0" else journal(name)

    return Found(things, since)


def wants(root: str) -> list[str]:
    """The folders whose links say what is started at boot."""
    return [folder for kind in ("wants", "requires") for folder in glob.glob(f"{root}/{SYSTEM}/*.{kind}")]


def enabled(root: str) -> dict[str, tuple[str, str]]:
    """Whether a unit is enabled or masked, and the link that says so. Other names of a unit are no units."""
    found = {}
    for link in (path for folder in wants(root) for path in glob.glob(f"{folder}/*")):
        found[os.path.basename(link)] = ("enabled", link)
    for path in glob.glob(f"{root}/{SYSTEM}/*.*"):
        if os.path.islink(path) and os.readlink(path) == os.devnull:
            found[os.path.basename(path)] = ("masked", path)
    return found


def properties(block: str) -> dict[str, str]:
    """One unit, as systemctl shows it."""
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def counts(unit: dict[str, str]) -> bool:
    """Whether its running or not is a matter of the machine's state, and not of who is logged in or asks just now."""
    if not unit or unit["Id"].startswith(SESSIONS) or unit["LoadState"] == "not-found" or unit["Transient"] == "yes":
        return False
    by_others = unit.get("Type") == "oneshot" or unit.get("TriggeredBy") or unit.get("BusName")
    return unit["UnitFileState"] in STARTED or not by_others


def activity(unit: dict[str, str]) -> str:
    """Whether the unit runs, in one word, or two where it tries in vain."""
    state, detail = unit["ActiveState"], unit["SubState"]
    if state == ACTIVE:
        started = unit["UnitFileState"] in STARTED and unit.get("Type") != "oneshot"
        return ACTIVE if started and not unit.get("TriggeredBy") else QUIET
    if state == "activating" and detail == "auto-restart":
        return "fails and is started again"
    if state in ("activating", "deactivating", "reloading"):
        return PASSING
    skipped = unit["ConditionResult"] == "no" and unit["ConditionTimestampMonotonic"] != "0"
    return PASSING if state == "inactive" and skipped else state


def is_drift(old: str, new: str) -> bool:
    """Whether a change of a unit's activity is one: it stopped, or was started by somebody."""
    if old in (ACTIVE, QUIET):
        return new not in (ACTIVE, QUIET, PASSING)
    return new == ACTIVE and old != PASSING
