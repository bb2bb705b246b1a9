"""What a tree wants at a path, what is there, and the difference between the two."""

from __future__ import annotations

import base64
import grp
import os
import pwd
import stat
from dataclasses import dataclass, field

from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_paths import STEP, Spot, TreeError

UNKNOWN = -2  # a user or group that check mode has not seen yet: an earlier task will make it


@dataclass(frozen=True)
class Entry:
    """A file, link or folder: as it is (read from the host) or as it should be (from the tree)."""

    kind: str  # file, link, dir, or absent
    content: bytes = b""
    uid: int = 0
    gid: int = 0
    mode: int = 0

    @property
    def hidden(self) -> bool:
        """Content that not everybody on the host may read is not shown in a diff either."""
        return self.kind == "file" and not self.mode & stat.S_IROTH

    def attributes(self) -> str:
        """Owner, group and mode, as the diff shows them."""
        if self.kind == "absent":
            return "absent"
        owners = f"{_user(self.uid)}:{_group(self.gid)}"
        return owners if self.kind == "link" else f"{owners} {self.mode:04o}"

    def text(self) -> str:
        """The content as the diff shows it."""
        if self.kind == "link":
            return f"-> {os.fsdecode(self.content)}\n"
        try:
            text = self.content.decode()
        except UnicodeDecodeError:
            text = "\0"
        return self.digest("binary") if "\0" in text else text

    def digest(self, why: str) -> str:
        return f"({why}, {len(self.content)} bytes)\n" if self.kind != "absent" else ""


ABSENT = Entry("absent")


@dataclass(frozen=True)
class Change:
    """One path that is not what it should be."""

    spot: Spot
    before: Entry
    after: Entry
    secret: bool | None = None
    masks: frozenset[str] = field(default=frozenset())

    @property
    def shown(self) -> str:
        """The path as `changed_paths` has it: a folder ends in a slash."""
        folder = "dir" in (self.before.kind, self.after.kind)
        return self.spot.path + "/" if folder else self.spot.path

    def diff(self) -> dict[str, str]:
        """For Ansible's `diff`. Attributes are in the headers; where nothing else differs, they are the difference."""
        was, now = self.before.attributes(), self.after.attributes()
        before, after = self.before.text(), self.after.text()
        if (self.before.kind, self.before.content) == (self.after.kind, self.after.content) or "dir" in (
            self.before.kind,
            self.after.kind,
        ):
            before, after = f"{was}\n", f"{now}\n"
        elif self.secret if self.secret is not None else self.before.hidden or self.after.hidden:
            note = "content hidden" if "absent" in (self.before.kind, self.after.kind) else "content hidden, changed"
            before, after = self.before.digest("content hidden"), self.after.digest(note)
        headers = {"before_header": f"{self.shown} ({was})", "after_header": f"{self.shown} ({now})"}
        return {"before": before, "after": after, **headers}


def wanted(item: dict, missing_names_are_fine: bool) -> Entry:
    """The entry that one item of the payload asks for. Raises TreeError for an owner or group that does not exist."""
    content = os.fsencode(item["link"]) if item["kind"] == "link" else base64.b64decode(item.get("content", ""))
    uid = _number(item, "owner", lambda name: pwd.getpwnam(name).pw_uid, missing_names_are_fine)
    gid = _number(item, "group", lambda name: grp.getgrnam(name).gr_gid, missing_names_are_fine)
    return Entry(item["kind"], content, uid, gid, 0o777 if item["kind"] == "link" else item["mode"])


def read(spot: Spot) -> Entry:
    """What is at the spot now; a link at the end is read, never followed."""
    if spot.folder is None:
        return ABSENT
    try:
        opened = os.open(spot.name, STEP, dir_fd=spot.folder)
    except FileNotFoundError:
        return ABSENT
    try:
        status = os.fstat(opened)
        if stat.S_ISDIR(status.st_mode):
            kind, content = "dir", b""
        elif stat.S_ISLNK(status.st_mode):
            kind, content = "link", os.fsencode(os.readlink("", dir_fd=opened))
        elif stat.S_ISREG(status.st_mode):
            kind, content = "file", _content(opened)
        else:
            raise TreeError(f"{spot.path} is neither a file, a link nor a directory; move it away first")
        mode = 0o777 if kind == "link" else stat.S_IMODE(status.st_mode)
        return Entry(kind, content, status.st_uid, status.st_gid, mode)
    finally:
        os.close(opened)


def _content(opened: int) -> bytes:
    # The descriptor was opened with O_PATH; through /proc it is the same file whatever lies at the path by now.
    with open(f"/proc/self/fd/{opened}", "rb") as file:
        return file.read()


def _number(item: dict, what: str, find, missing_is_fine: bool) -> int:
    name = str(item[what])
    if name.isdigit():
        return int(name)
    try:
        return find(name)
    except KeyError:
        if missing_is_fine:
            return UNKNOWN
        raise TreeError(f"{item['path']}: there is no {what} named {name} on this host") from None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return "(not made yet)" if uid == UNKNOWN else str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return "(not made yet)" if gid == UNKNOWN else str(gid)
