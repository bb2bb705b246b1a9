"""Run a validator where the new files already lie at their real paths, and nowhere else.

The staged files become the upper layer of an overlay over each folder concerned, in a mount namespace that ends with
the validator: absolute includes, owners and modes are the real ones, and the rest of the host never sees the new files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_entries import UNKNOWN, Change
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_paths import TreeError

NOT_FOUND = 127  # the shell's word for a program that is not installed
TIMED_OUT = 124  # timeout's own
MASK = "********"

# $1 is the staging folder, $2 the command, $3 its time in seconds. The staged files are copied to a tmpfs because the
# upper layer of an overlay cannot lie on every file system. Mounts below an overlaid folder (/etc/hosts in a container)
# would vanish under it, so they are bound again on top.
SCRIPT = """
set -e
stage=$1
mkdir "$stage/ram"
mount -t tmpfs -o mode=0700 tmpfs "$stage/ram"
cp -a "$stage/upper" "$stage/ram/upper"
while read -r folder; do
  mkdir -p "$stage/ram/upper$folder" "$stage/ram/work$folder" "$stage/ram/below$folder"
  mount --rbind "$folder" "$stage/ram/below$folder"
  layers="lowerdir=$folder,upperdir=$stage/ram/upper$folder,workdir=$stage/ram/work$folder"
  mount -t overlay -o "$layers" overlay "$folder"
done < "$stage/folders"
while read -r point; do
  mount --bind "$stage/ram/below$point" "$point"
done < "$stage/points"
while read -r path; do
  rm -f "$path"
done < "$stage/removed"
touch "$stage/ready"
cd /
exec timeout "$3" sh -c "$2"
"""


def validate(validators: list[dict], changes: list[Change], folder_mode: int, check_mode: bool) -> list[str]:
    """Run each validator over the staged changes. Raises TreeError with its words when one refuses. Returns warnings:
    in check mode a program that is not installed yet cannot be asked."""
    changes = [change for change in changes if change.after.kind != "dir"]
    if not validators or not changes:
        return []
    masks = sorted({mask for change in changes for mask in change.masks}, key=len, reverse=True)
    warnings = []
    for validator in validators:
        stage = tempfile.mkdtemp(prefix="config-tree-", dir="/run" if os.access("/run", os.W_OK) else None)
        try:
            _fill(stage, changes, folder_mode)
            command = ["sh", "-c", SCRIPT, "sh", stage, validator["command"], str(validator["timeout"])]
            run = subprocess.run(
                ["unshare", "--mount", "--propagation", "private", *command],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                check=False,
            )
            words = _masked((run.stdout + run.stderr).strip().replace(stage + "/ram", ""), masks)
            if not os.path.exists(f"{stage}/ready"):
                raise TreeError(
                    "the private mount namespace for validation was refused (it needs CAP_SYS_ADMIN), "
                    f"nothing was changed: {words}"
                )
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        if run.returncode == NOT_FOUND and check_mode:
            warnings.append(f"not validated by `{validator['command']}`, which is not installed yet: {words}")
        elif run.returncode:
            ended = f"ended with {run.returncode}"
            if run.returncode == TIMED_OUT:
                ended = f"did not end within {validator['timeout']} s"
            raise TreeError(f"validation failed, nothing was changed: `{validator['command']}` {ended}:\n{words}")
    return warnings


def _fill(stage: str, changes: list[Change], folder_mode: int) -> None:
    """Lay out what SCRIPT reads: the upper layer and the lists of folders, mount points and removed paths."""
    os.mkdir(f"{stage}/upper")
    for change in changes:
        if change.after.kind == "absent":
            continue
        _make_parents(f"{stage}/upper", os.path.dirname(change.spot.real), folder_mode)
        staged = f"{stage}/upper{change.spot.real}"
        if change.after.kind == "link":
            os.symlink(change.after.content, os.fsencode(staged))
            continue
        opened = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(change.after.content)
        os.chown(
            staged,
            *(max(number, 0) if number == UNKNOWN else number for number in (change.after.uid, change.after.gid)),
        )
        os.chmod(staged, change.after.mode)
    folders = _overlaid({_existing(os.path.dirname(change.spot.real)) for change in changes})
    staged_paths = {change.spot.real for change in changes}
    points = [point for point in _mount_points() if any(point.startswith(folder + "/") for folder in folders)]
    removed = [change.spot.real for change in changes if change.after.kind == "absent"]
    for name, lines in (("folders", folders), ("points", sorted(set(points) - staged_paths)), ("removed", removed)):
        with open(f"{stage}/{name}", "w") as file:
            file.writelines(f"{line}\n" for line in lines)


def _make_parents(upper: str, folder: str, folder_mode: int) -> None:
    """The folders of the upper layer look like the real ones, because they cover them."""
    part = ""
    for name in folder.split("/")[1:]:
        part += f"/{name}"
        if os.path.isdir(upper + part):
            continue
        os.mkdir(upper + part)
        if os.path.isdir(part):
            status = os.stat(part)
            os.chown(upper + part, status.st_uid, status.st_gid)
            os.chmod(upper + part, status.st_mode & 0o7777)
        else:
            os.chmod(upper + part, folder_mode)


def _existing(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if folder == "/":
        raise TreeError("a file in / or in a new folder there cannot be validated; make the folder first")
    return folder


def _overlaid(folders: set[str]) -> list[str]:
    """Without those that lie in another one of the set."""
    return sorted(
        folder for folder in folders if not any(folder.startswith(other + "/") for other in folders if other != folder)
    )


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo") as file:
        return [line.split()[4].replace("\\040", " ") for line in file]


def _masked(words: str, masks: list[str]) -> str:
    for mask in masks:
        words = words.replace(mask, MASK)
    return words
