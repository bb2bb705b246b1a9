"""The files of a machine that count as its state: what trees own, and what sudo and systemd read from folders."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_manifest import Manifests

TREES = "var/lib/stagecraft/trees"
# A file that nobody has declared counts in these too.
WATCHED = (
    "etc/sudoers",
    "etc/sudoers.d/*",
    "etc/systemd/system/*.d/*",
    "etc/systemd/system.control/*.d/*",
    "etc/systemd/system/*.*",
)
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
KINDS = {stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFDIR: "directory"}


@dataclass(frozen=True)
class Found:
    """Things of one kind: the values of their fields by name, and when a field of one got its value, in seconds since
    1970; None where that is not known. For a thing that is not there the field is empty."""

    things: dict[str, dict[str, str]]
    since: Callable[[str, str], float | None]


def owned(root: str) -> set[str]:
    """The paths that trees own now. Raises TreeError where a manifest is damaged."""
    return {*Manifests(f"{root}/{TREES}", "", create=False).owner_of}


def watched(root: str) -> set[str]:
    """The files in the folders that are watched. Links there are how units are enabled, which is no file's business."""
    found = (path for pattern in WATCHED for path in glob.glob(pattern, root_dir=f"{root}/"))
    return {f"/{path}" for path in found if os.path.isfile(f"{root}/{path}") and not os.path.islink(f"{root}/{path}")}


def is_watched(path: str) -> bool:
    """Whether a file at this path would be one of those."""
    return any(fnmatch.fnmatchcase(path, f"/{pattern}") for pattern in WATCHED)


def files(root: str, paths: Iterable[str], users: dict[int, str], groups: dict[int, str]) -> Found:
    """What is at these paths; owners by their names, as far as they have one."""
    found = {path: read(root + path, users, groups) for path in paths}
    return Found({path: thing for path, thing in found.items() if thing}, lambda path, _: changed_at(root + path))


def read(path: str, users: dict[int, str], groups: dict[int, str]) -> dict[str, str]:
    """The fields of one file, without its content, of which there is the checksum and the size; empty where none is."""
    try:
        status = os.lstat(path)
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "special file")
        more = {"target": os.readlink(path)} if kind == "link" else {"mode": f"{stat.S_IMODE(status.st_mode):04o}"}
        if kind == "file":
            more["content"] = digest(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    owner, group = (names.get(n, str(n)) for names, n in ((users, status.st_uid), (groups, status.st_gid)))
    return {"type": kind, "owner": owner, "group": group, **more}


def digest(path: str) -> str:
    """SHA-256 in hexadecimal digits, and the size in bytes."""
    with os.fdopen(os.open(path, PLAIN), "rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()} {file.tell()}"


def changed_at(path: str) -> float | None:
    """When the file was last changed in any way; of one that is gone, when a name last came or went beside it."""
    try:
        return os.lstat(path).st_ctime
    except (FileNotFoundError, NotADirectoryError):
        pass
    while (folder := os.path.dirname(path)) != path:
        path = folder
        if os.path.isdir(path):
            return os.stat(path).st_mtime
    return None
