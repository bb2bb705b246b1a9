"""What is published: models/manifest.json, which names every file of every version with its checksum and size."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_sync.errors import SyncError

MANIFEST = "manifest.json"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")  # Triton's versions are positive numbers without leading zeros
_FILE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
)  # a plain name: it becomes part of a path on the serving machine
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SOURCE = re.compile(r"[!-~]{0,128}")
_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class File:
    """One published file. `size` is in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Version:
    """Files by name. `source` names what it was made from, where that is known: other bytes of the same source are the same
    version."""

    files: dict[str, File]
    source: str = ""


Models = dict[str, dict[str, Version]]  # model name to version number to its files


def parse(text: str | bytes, where: str) -> Models:
    """The manifest's content; SyncError names `where` and what is wrong with it."""
    try:
        raw = json.loads(text)
        return {
            _checked(_MODEL, model, "model name"): {
                _checked(_VERSION, number, "version"): _version(content)
                for number, content in described["versions"].items()
            }
            for model, described in raw["models"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SyncError(f"{where} is not a manifest: {error!r}. Publish the models again.") from error


def dump(models: Models) -> str:
    """The manifest as text; the same content is always the same bytes."""
    raw = {
        model: {
            "versions": {
                number: {
                    "files": {name: {"sha256": file.sha256, "size": file.size} for name, file in version.files.items()}
                }
                | ({"source": version.source} if version.source else {})
                for number, version in versions.items()
            }
        }
        for model, versions in models.items()
    }
    return json.dumps({"models": raw}, sort_keys=True, indent=1) + "\n"


def measure(path: Path) -> File:
    """Checksum and size of a file on disk; OSError when it cannot be read."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return File(digest.hexdigest(), size)


def in_order(numbers: list[str] | set[str] | dict[str, Version]) -> list[str]:
    """Version numbers as a person counts: 2 before 10."""
    return sorted(numbers, key=int)


def _version(content: dict[str, Any]) -> Version:
    if not content["files"]:
        raise ValueError("a version without files")
    files = {
        _checked(_FILE, name, "file name"): File(_checked(_SHA256, entry["sha256"], "SHA-256"), _size(entry["size"]))
        for name, entry in content["files"].items()
    }
    return Version(files, _checked(_SOURCE, content.get("source", ""), "source"))


def _checked(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not a {what}")
    return value


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a size in bytes")
    return value
