"""Which Debian packages a machine has, from dpkg's own files, and when they came and went, from its log."""

from __future__ import annotations

import re
import time
from functools import cache

from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_files import Found

STATUS = re.compile(r"^Package: (\S+)\n(?:[A-Z].*\n)*?Status: \S+ \S+ (\S+)$", re.MULTILINE)
AUTOMATIC = re.compile(r"^Package: (\S+)\n(?:[A-Z].*\n)*?Auto-Installed: 1$", re.MULTILINE)
LOGGED = re.compile(r"^(\S+ \S+) (?:install|remove|purge) ([^\s:]+)", re.MULTILINE)
NOT_THERE = ("not-installed", "config-files", "half-installed")
LOGS = ("var/log/dpkg.log.1", "var/log/dpkg.log")
MANUAL, AUTO = "manual", "auto"


def packages(root: str) -> Found:
    """The installed packages, those that a person asked for apart from those that came along."""
    auto = {*AUTOMATIC.findall(text(root, "var/lib/apt/extended_states"))}
    installed = (name for name, state in STATUS.findall(text(root, "var/lib/dpkg/status")) if state not in NOT_THERE)
    things = {name: {"installed": AUTO if name in auto else MANUAL} for name in installed}

    @cache
    def logged() -> dict[str, str]:
        return {name: at for log in LOGS for at, name in LOGGED.findall(text(root, log))}

    def since(name: str, field: str) -> float | None:
        # dpkg writes the time of the machine's own zone.
        return time.mktime(time.strptime(logged()[name], "%Y-%m-%d %H:%M:%S")) if name in logged() else None

    return Found(things, since)


def text(root: str, path: str) -> str:
    """The content of a file; empty where there is none."""
    try:
        with open(f"{root}/{path}", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return ""
