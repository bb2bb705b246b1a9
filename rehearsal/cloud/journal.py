"""A readable record of every call: one JSON object a line, never a secret value."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from google.protobuf.message import Message

from rehearsal.cloud.descriptors import is_text

TELLING = ("id", "name", "filter", "zone", "family", "type")


def subject(request: Message) -> dict[str, str]:
    """The ids and names in a request, one level deep; everything else may be a secret and is left out."""
    told = {}
    for field, value in request.ListFields():
        if (
            is_text(field)
            and not field.is_repeated
            and (field.name.endswith(("_id", "_name")) or field.name in TELLING)
        ):
            told[field.name] = value
        elif (
            field.name.endswith("_spec") and field.message_type and not field.is_repeated and getattr(value, "name", "")
        ):
            told[field.name] = value.name
        elif field.name == "update_mask":
            told["mask"] = ",".join(value.paths)
    return told


class Journal:
    """The calls, in `journal.jsonl`, mode 0600. Lines are whole: each is one write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = os.fdopen(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab", buffering=0)

    def write(self, method: str, principal: str, code: str, started: float, request: Message, **more: str) -> None:
        """Note a call that ended. `started` is time.time() at its beginning."""
        entry = {
            "time": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
            "principal": principal,
            "method": method,
            "code": code,
            "ms": round((time.time() - started) * 1000, 1),
            **subject(request),
            **{key: value for key, value in more.items() if value},
        }
        self._append(entry)

    def note(self, what: str, code: str, **more: str) -> None:
        """Note something that is not a call: the end of an operation."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = {key: value for key, value in more.items() if value}
        self._append({"time": now, "principal": "", "method": what, "code": code, "ms": 0.0, **told})

    def _append(self, entry: dict) -> None:
        with self._lock:
            self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")

    def entries(self) -> list[dict]:
        """Everything noted so far. A half line, left by a killed process, is skipped."""
        found = []
        for line in self.path.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def close(self) -> None:
        self._file.close()


def summary(entries: list[dict]) -> dict:
    """What `rehearsal status` shows: calls, refusals and times by method, the latest call."""
    methods = Counter(entry["method"] for entry in entries)
    refusals = Counter((entry["method"], entry["code"]) for entry in entries if entry["code"] != "OK")
    return {
        "calls": len(entries),
        "principals": sorted({entry["principal"] for entry in entries if entry["principal"]}),
        "methods": dict(methods.most_common()),
        "refusals": {f"{method} {code}": count for (method, code), count in refusals.most_common()},
        "slowest": sorted(entries, key=lambda entry: -entry["ms"])[:5],
        "last": entries[-1]["time"] if entries else "",
    }
