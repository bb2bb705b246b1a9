"""A machine in a folder, with some of Debian's files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from described_machine import Machine, package


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    (tmp_path / "proc").mkdir()
    made.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/bash\n")
    made.write("/etc/shadow", "root:*:20000:0:99999:7:::\nanna:$y$j9T$salt$hash:20000:0:99999:7:::\n", 0o600)
    made.write("/etc/group", "root:x:0:\nsudo:x:27:anna\nanna:x:1000:\n")
    made.write("/var/lib/dpkg/status", package("bash", "Essential: yes\n") + package("libfoo") + package("nano"))
    made.write("/var/lib/apt/extended_states", "Package: libfoo\nArchitecture: amd64\nAuto-Installed: 1\n\n")
    made.write("/etc/sudoers", "root ALL=(ALL) ALL\n", 0o440)
    made.write("/srv/page", "first\n")
    made.write("/etc/demo/secret", "a-password\n", 0o640)
    made.own("/srv/page", "/etc/demo/secret")
    return made


@pytest.fixture
def before() -> float:
    """A time before anything that the test does."""
    now = time.time()
    time.sleep(0.02)  # the kernel's clock of files has coarser steps than this one
    return now
