"""The users and groups of a machine, without what would let anybody log in as one of them."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator

from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_files import Found, changed_at
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state_packages import text

KEY_FILES = ("{home}/.ssh/authorized_keys", "{home}/.ssh/authorized_keys2", "/etc/ssh/authorized_keys.d/{name}")
MOST = 1 << 20  # bytes of a file with keys that are read
SHORT = 12  # characters of a fingerprint
DAY = 86400  # seconds; /etc/shadow counts days
KEY = re.compile(r"\s*(?:(?P<options>[^#\s].*?)\s+)?(?:ssh|ecdsa|sk)-\S+\s+(?P<key>AAAA\S+)")


def rows(root: str, path: str) -> list[list[str]]:
    """The lines of one of the account files, as lists of fields."""
    return [line.split(":") for line in text(root, path).splitlines() if ":" in line]


def names(root: str, path: str) -> dict[int, str]:
    """Names by number, from /etc/passwd or /etc/group."""
    return {int(row[2]): row[0] for row in reversed(rows(root, path)) if row[2].isdigit()}


def users(root: str) -> Found:
    """Users with their numbers, home, shell, the state of their password and the fingerprints of their keys."""
    shadow = {row[0]: row for row in rows(root, "etc/shadow")}
    things, homes = {}, {}
    for name, _, uid, gid, _, home, shell in (row for row in rows(root, "etc/passwd") if len(row) == 7):
        homes[name] = home
        things[name] = {
            "uid": uid, "gid": gid, "home": home, "shell": shell,
            "password": password(shadow.get(name, ["", ""])[1]), "keys": keys(root, name, home),
        }  # fmt: skip

    def since(name: str, field: str) -> float | None:
        if field == "keys":
            places = key_files(root, name, homes[name])
            return max(
                (os.stat(path).st_ctime for path in places if os.path.exists(path)), default=changed_at(places[0])
            )
        changed = changed_at(f"{root}/etc/{'shadow' if field == 'password' else 'passwd'}")
        if field or name not in homes or changed is None:
            return changed
        # Others may have come later: the oldest file of its home is nearer to when this user came, unless it is older than
        # the password, which comes with the user.
        day = "".join(shadow.get(name, [])[2:3])
        since_then = int(day) * DAY if day.isdigit() else 0
        return min([changed, *(at for at in homely(f"{root}{homes[name]}", things[name]["uid"]) if at >= since_then)])

    return Found(things, since)


def groups(root: str) -> Found:
    """Groups with their number and members."""
    things = {
        row[0]: {"gid": row[2], "members": ",".join(sorted(filter(None, row[3].split(","))))}
        for row in rows(root, "etc/group")
        if len(row) == 4
    }
    return Found(things, lambda name, field: changed_at(f"{root}/etc/group"))


def password(hashed: str) -> str:
    """The state of a password; where there is one, with what tells it from another, which is not its hash."""
    if not hashed:
        return "none"
    return "locked" if hashed[0] in "!*" else f"set {hashlib.sha256(hashed.encode()).hexdigest()}"


def homely(home: str, uid: str) -> Iterator[float]:
    """When the files right below a user's home that are the user's were last changed."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(home):
            status = entry.stat(follow_symlinks=False)
            if status.st_uid == int(uid):
                yield status.st_ctime


def key_files(root: str, name: str, home: str) -> list[str]:
    """Where the SSH server may look for a user's keys."""
    return [root + path.format(home=home.rstrip("/"), name=name) for path in KEY_FILES]


def keys(root: str, name: str, home: str) -> str:
    """The number of a user's keys, and their fingerprints."""
    found = [key for path in key_files(root, name, home) for line in lines(path) if (key := fingerprint(line))]
    return f"{len(found)}: {', '.join(sorted(found))}" if found else "0"


def lines(path: str) -> list[str]:
    """The lines of a file that a user may have put there; none of what is no plain file."""
    try:
        # A user may have put a pipe there, which must not make us wait.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return []
            return file.read(MOST).decode(errors="replace").splitlines()
    except OSError:
        return []


def fingerprint(line: str) -> str:
    """The beginning of a key's fingerprint as `ssh-keygen -l` has it, and of a checksum of its options; empty for what is
    no key."""
    found = KEY.match(line)
    try:
        blob = base64.b64decode(found["key"], validate=True) if found else b""
    except binascii.Error:
        return ""
    if not found or not blob:
        return ""
    short = base64.b64encode(hashlib.sha256(blob).digest()).decode()[:SHORT]
    options = f" with options {hashlib.sha256(found['options'].encode()).hexdigest()[:8]}" if found["options"] else ""
    return f"SHA256:{short}{options}"
