"""Walk to a file's folder without following a link that somebody else may have placed.

Every step is an `openat` from the folder before it with O_NOFOLLOW, and the folders stay open until the module ends:
what was checked is what is used, whatever is renamed meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass

STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_LINKS = 40  # the kernel's own limit


class TreeError(Exception):
    """A sentence for the person who runs the play: which path, what is wrong, what to do."""


@dataclass(frozen=True)
class Spot:
    """Where a file is or would be. `real` has no links in its folders; `folder` is None while it does not exist."""

    path: str
    real: str
    name: str
    folder: int | None


class Walker:
    """Opens folders below `root` (links resolved); makes missing ones with `folder_mode` when asked to."""

    def __init__(self, root: str = "/", folder_mode: int = 0o755) -> None:
        self.folder_mode = folder_mode
        self._open: dict[tuple[str, ...], int] = {(): os.open("/", STEP | os.O_DIRECTORY)}
        self._made: list[tuple[int, str]] = []
        self._asked = _parts(root)
        self._root, missing = self._walk(root, self._asked, create=False)
        if missing:
            raise TreeError(f"root: {root} does not exist")

    def locate(self, path: str, create: bool = False) -> Spot:
        """The spot of `path`; with `create`, missing folders are made. Raises TreeError where it leads outside."""
        parts = _parts(path)
        if not parts or parts[: len(self._asked)] != self._asked:
            raise TreeError(f"{path} is outside {self._shown()}, the folder this tree may write to")
        real, missing = self._walk(path, parts[:-1], create)
        whole = (*real, *missing)
        if (*whole, parts[-1])[: len(self._root)] != self._root:
            raise TreeError(f"{path} leads through a symbolic link to /{'/'.join(whole)}, outside {self._shown()}")
        folder = None if missing else self._open[real]
        return Spot(path, "/" + "/".join((*whole, parts[-1])), parts[-1], folder)

    def take_back(self) -> None:
        """Remove the folders made by this walker that are empty again, the deepest first."""
        while self._made:
            folder, name = self._made.pop()
            with contextlib.suppress(OSError):  # somebody has moved it away, or put something into it
                os.rmdir(name, dir_fd=folder)

    def _shown(self) -> str:
        return "/" + "/".join(self._asked)

    def _walk(self, path: str, parts: tuple[str, ...], create: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The real folder that `parts` lead to, as far as it exists, and the names that are missing below it."""
        here: tuple[str, ...] = ()
        ahead, links = list(reversed(parts)), 0
        while ahead:
            name = ahead.pop()
            if name in ("", "."):
                continue
            if name == "..":  # only in a link's target: _parts refuses it in a path
                here = here[:-1]
                continue
            step = self._step(path, here, name, create)
            if step is None:
                missing = (name, *(part for part in reversed(ahead) if part not in ("", ".")))
                if ".." in missing:
                    raise TreeError(f"{path}: a symbolic link on the way leads nowhere")
                return here, missing
            if isinstance(step, str):
                links += 1
                if links > MOST_LINKS:
                    raise TreeError(f"{path}: too many symbolic links on the way")
                here = () if step.startswith("/") else here
                ahead += reversed(step.split("/"))
            else:
                here = (*here, name)
        return here, ()

    def _step(self, path: str, here: tuple[str, ...], name: str, create: bool) -> int | str | None:
        """One step down: the folder's descriptor, the target of a trusted link, or None where there is nothing."""
        there = (*here, name)
        if there in self._open:
            return self._open[there]
        folder = self._open[here]
        try:
            opened = os.open(name, STEP, dir_fd=folder)
        except FileNotFoundError:
            if not create:
                return None
            os.mkdir(name, 0o700, dir_fd=folder)
            self._made.append((folder, name))
            opened = os.open(name, STEP | os.O_DIRECTORY, dir_fd=folder)
            set_mode(opened, self.folder_mode)
        status = os.fstat(opened)
        if stat.S_ISDIR(status.st_mode):
            self._open[there] = opened
            return opened
        try:
            shown = "/" + "/".join(there)
            if not stat.S_ISLNK(status.st_mode):
                raise TreeError(f"{path}: {shown} is not a directory")
            if not _trusted(status) or not _trusted(os.fstat(folder), alone=True):
                raise TreeError(f"{path}: {shown} is a symbolic link that another user may have placed; not followed")
            return os.readlink("", dir_fd=opened)
        finally:
            os.close(opened)


def set_mode(folder: int, mode: int) -> None:
    """fchmod for a descriptor opened with O_PATH, which fchmod itself refuses."""
    os.chmod(f"/proc/self/fd/{folder}", mode)


def _trusted(status: os.stat_result, alone: bool = False) -> bool:
    """Is it root's (or ours)? With `alone`: and can nobody else write in it?"""
    return status.st_uid in (0, os.geteuid()) and not (alone and status.st_mode & 0o022)


def _parts(path: str) -> tuple[str, ...]:
    if not path.startswith("/") or "\0" in path or "\n" in path:
        raise TreeError(f"{path!r} is not an absolute path")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise TreeError(f"{path}: '..' is not allowed in a path")
    return parts
