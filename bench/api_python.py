"""Environments of Debian's Python with the packages that the machines of a stage get, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from rehearsal import places, wheelhouse
from rehearsal.packages import wheel_folder

PYTHON = "/usr/bin/python3.11"


def environment(name: str, locks: Sequence[Path], say: Callable[[str], None], also: Path | None = None) -> Path:
    """A folder with the packages of the locks, and with the content of `also`; made where what decides it has changed."""
    files = [*locks, *(file for file in sorted(also.rglob("*") if also else ()) if file.is_file())]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    home = places.cache() / "bench" / f"{name}-{digest}"
    if (home / "complete").exists():
        return home
    shutil.rmtree(home, ignore_errors=True)
    wheelhouse.fill(locks, progress=say)
    say(f"installing {home}")
    subprocess.run([PYTHON, "-m", "venv", home], check=True)
    pip = [home / "bin" / "pip", "install", "-q", "--no-deps", "--no-index", f"--find-links={wheel_folder()}"]
    subprocess.run([*pip, "--require-hashes", *(f"--requirement={lock}" for lock in locks)], check=True)
    if also:
        shutil.copytree(also, home, symlinks=True, dirs_exist_ok=True)
    (home / "complete").touch()
    return home
