"""What an instance is to the kernel: the control groups that give it time, or none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from rehearsal.serverless import instances
from rehearsal.serverless.instances import Instance, instance_of

TREE = Path("/sys/fs/cgroup")
HERE = IPv4Address("127.0.0.1")
COUNTING = "import itertools, time\nfor n in itertools.count():\n    print(n, flush=True)\n    time.sleep(0.01)"


# How a machine shows that it has a kind of control groups: where they are, by what they are frozen.
KINDS = {
    "freezer/tasks": ("freezer", "freezer.state"),
    "cgroup.controllers": (".", "cgroup.freeze"),
    "unified/cgroup.controllers": ("unified", "cgroup.freeze"),
}


@pytest.fixture(params=[shown for shown in KINDS if (TREE / shown).exists()])
def group(request):
    """A control group of the test's own, by its switch; each kind that this machine has."""
    hierarchy, switch = KINDS[request.param]
    made = TREE / hierarchy / f"stagecraft-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"{made.parent}: {error.strerror}")
    try:
        yield made / switch
    finally:
        made.rmdir()


def test_a_frozen_instance_gets_no_time(group, tmp_path):
    count = tmp_path / "count"
    with count.open("w") as out:
        counting = subprocess.Popen([sys.executable, "-c", COUNTING], stdout=out)
    group.with_name("cgroup.procs").write_text(str(counting.pid))
    instance = Instance("run-1", "rev", HERE, counting.pid, Path("/nowhere"), group)

    def counted() -> int:
        """How far it has counted in half a second."""
        before = count.stat().st_size
        time.sleep(0.5)
        return count.stat().st_size - before

    try:
        time.sleep(0.5)
        instance.freeze()
        time.sleep(0.1)
        assert counted() == 0
        instance.thaw()
        assert counted() > 0
    finally:
        counting.kill()
        counting.wait()
        time.sleep(0.1)  # until the kernel has taken it out of its group


@pytest.mark.parametrize(
    ("groups", "kills", "freezer"),
    [
        (
            "5:memory:/a/b\n4:freezer:/a\n1:name=systemd:/\n0::/\n",
            "memory/a/b/memory.oom_control",
            "freezer/a/freezer.state",
        ),
        ("0::/a/b\n", "a/b/memory.events", "a/b/cgroup.freeze"),
    ],
    ids=["v1", "v2"],
)
def test_an_instance_has_the_files_of_its_group(tmp_path, monkeypatch, groups, kills, freezer):
    monkeypatch.setattr(instances, "PROCESSES", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(groups)
    made = instance_of("run-1", "rev", HERE, 7)
    assert (made.kills, made.freezer) == (TREE / kills, TREE / freezer)


@pytest.mark.parametrize("groups", ["4:freezer:/\n0::/\n", "0::/\n", None], ids=["v1", "v2", "it has ended"])
def test_the_group_that_everybody_is_in_is_never_frozen(tmp_path, monkeypatch, groups):
    monkeypatch.setattr(instances, "PROCESSES", tmp_path)
    if groups:
        (tmp_path / "7").mkdir()
        (tmp_path / "7" / "cgroup").write_text(groups)
    made = instance_of("run-1", "rev", HERE, 7)
    assert TREE not in made.freezer.parents
    made.freeze()
    assert not made.out_of_memory()
