"""Put a set of changes in place, or none of them."""

from __future__ import annotations

import contextlib
import os
from contextlib import ExitStack

from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_entries import Change
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_paths import (
    Spot,
    TreeError,
    Walker,
    set_mode,
)


def apply(changes: list[Change], walker: Walker, label=None) -> None:
    """Make every change, folders first. All new files are written beside their targets before the first is renamed;
    when anything fails, what was renamed is put back and a TreeError says so. `label(path on disk, target path)` sets
    a security label."""
    current, old = "", list[tuple[int, str]]()
    try:
        with ExitStack() as undo:
            undo.callback(walker.take_back)
            try:
                for change in sorted(changes, key=lambda change: change.spot.real.count("/")):
                    if change.after.kind == "dir":
                        current = change.shown
                        _make_folder(change, walker, undo)
                staged = []
                for change in changes:
                    if change.after.kind != "dir":
                        current = change.shown
                        staged.append((change, _stage(change, walker, undo, label)))
                for change, spot in staged:
                    current = change.shown
                    _swap(change, spot, undo, old)
            except OSError as error:
                raise TreeError(f"{current}: {error.strerror}; every file was put back as it was") from error
            undo.pop_all()
    except OSError as error:
        said = f"{error.filename or current}: {error.strerror}"
        raise TreeError(f"{current} was not written, and what was begun could not all be put back: {said}") from error
    for folder, name in old:
        os.unlink(name, dir_fd=folder)


def replace(folder: int, name: str, content: bytes, mode: int = 0o600) -> None:
    """Write one file of our own under its name at once."""
    _write(folder, _new(name), content, os.geteuid(), os.getegid(), mode)
    os.rename(_new(name), name, src_dir_fd=folder, dst_dir_fd=folder)


def _make_folder(change: Change, walker: Walker, undo: ExitStack) -> None:
    """The folder itself; the missing ones above it get the walker's mode."""
    spot = walker.locate(change.spot.path + "/x", create=True)
    assert spot.folder is not None
    status = os.fstat(spot.folder)
    undo.callback(set_mode, spot.folder, status.st_mode & 0o7777)
    undo.callback(_own, spot.folder, status.st_uid, status.st_gid)
    _own(spot.folder, change.after.uid, change.after.gid)
    set_mode(spot.folder, change.after.mode)


def _own(folder: int, uid: int, gid: int) -> None:
    os.chown(f"/proc/self/fd/{folder}", uid, gid)


def _stage(change: Change, walker: Walker, undo: ExitStack, label) -> Spot:
    """Write the new content beside the target, under a name that no program reads."""
    spot = walker.locate(change.spot.path, create=change.after.kind != "absent")
    if spot.real != change.spot.real or spot.folder is None:
        raise TreeError(f"{spot.path} leads elsewhere than a moment ago; nothing was changed")
    _forget(spot.folder, _new(spot.name))
    _forget(spot.folder, _old(spot.name))
    if change.after.kind == "absent":
        return spot
    undo.callback(_forget, spot.folder, _new(spot.name))
    after = change.after
    if after.kind == "link":
        os.symlink(after.content, os.fsencode(_new(spot.name)), dir_fd=spot.folder)
        os.chown(_new(spot.name), after.uid, after.gid, dir_fd=spot.folder, follow_symlinks=False)
    else:  # also where only the mode changes: a hard link elsewhere must keep the old file's
        _write(spot.folder, _new(spot.name), after.content, after.uid, after.gid, after.mode)
    if label:
        label(f"/proc/self/fd/{spot.folder}/{_new(spot.name)}", spot.real)
    return spot


def _swap(change: Change, spot: Spot, undo: ExitStack, old: list[tuple[int, str]]) -> None:
    """Rename the new file over the old one, which stays under another name until everything has succeeded."""
    folder, name = spot.folder, spot.name
    assert folder is not None
    if change.before.kind == "absent":
        os.rename(_new(name), name, src_dir_fd=folder, dst_dir_fd=folder)
        undo.callback(os.unlink, name, dir_fd=folder)
        return
    if change.after.kind == "absent":
        os.rename(name, _old(name), src_dir_fd=folder, dst_dir_fd=folder)
        undo.callback(os.rename, _old(name), name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.link(name, _old(name), src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        # Renaming one hard link over another of the same file does nothing, so what is left of the copy goes too.
        undo.callback(_forget, folder, _old(name))
        undo.callback(os.rename, _old(name), name, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(_new(name), name, src_dir_fd=folder, dst_dir_fd=folder)
    old.append((folder, _old(name)))


def _write(folder: int, name: str, content: bytes, uid: int, gid: int, mode: int) -> None:
    _forget(folder, name)
    opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    with os.fdopen(opened, "wb") as file:
        os.fchown(opened, uid, gid)
        os.fchmod(opened, mode)
        file.write(content)
        file.flush()
        os.fsync(opened)


def _forget(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _new(name: str) -> str:
    return f".{name}.config-tree-new"


def _old(name: str) -> str:
    return f".{name}.config-tree-old"
