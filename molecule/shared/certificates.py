"""A certificate authority for role tests, and a certificate for each host."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))

from authority import Authority


def issue(folder: Path, hosts: list[str]) -> None:
    """Make what is missing, for the host's name, for localhost and for 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:  # scenarios start side by side and have one authority
        fcntl.flock(lock, fcntl.LOCK_EX)
        authority = Authority(folder)
        for host in hosts:
            authority.issue(host, "localhost", "127.0.0.1")
