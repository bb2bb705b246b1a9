"""A machine in a folder: the files that a machine's state is read from, at their places below a temporary root."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.stagecraft.platform.plugins.module_utils import machine_state

SSHD = {
    "Id": "ssh.service", "Type": "notify", "LoadState": "loaded", "ActiveState": "active", "SubState": "running",
    "UnitFileState": "enabled", "TriggeredBy": "", "BusName": "", "Transient": "no", "ConditionResult": "yes",
    "ConditionTimestampMonotonic": "1", "ActiveEnterTimestamp": "@1700000000", "InactiveEnterTimestamp": "",
}  # fmt: skip


def unit(**more: str) -> str:
    """What systemctl shows of one unit: of one like the SSH server, but for what is given."""
    return "\n".join(f"{name}={value}" for name, value in {**SSHD, **more}.items())


@dataclass
class Machine:
    """A temporary root with some of Debian's files, and what its systemd would answer."""

    root: Path
    answer: str = unit()

    def write(self, path: str, content: str, mode: int = 0o644) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)
        return file

    def own(self, *paths: str) -> None:
        """Say in a manifest what a tree owns."""
        self.write("/var/lib/stagecraft/trees/demo.json", json.dumps({"files": paths}))

    def take(self, record: machine_state.Record | None = None) -> machine_state.State:
        return machine_state.take(str(self.root), record, self.answer, lambda unit: None)

    def record(self) -> machine_state.Record:
        """All that is there, as it is."""
        return machine_state.Record("2026-01-31T23:59:59Z", self.take().things)

    def told(self, record: machine_state.Record) -> list[tuple[str, ...]]:
        """What differs from the record, without the times."""
        found = (one.row() for one in machine_state.compare(record, self.take(record)))
        return [tuple(row[key] for key in ("kind", "name", "what", "field", "old", "new")) for row in found]


def package(name: str, more: str = "", state: str = "installed") -> str:
    """A package in dpkg's list."""
    return f"Package: {name}\n{more}Status: install ok {state}\nArchitecture: amd64\nDescription: one\n of them\n\n"
