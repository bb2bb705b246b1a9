"""The partners stage back to nothing, and one that was killed half way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from commands import ROOT, stagecraft
from waiting import wait_for

from rehearsal import environment, lifecycle, places

from .partners_stage import STAGE, journal

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_destroy_leaves_nothing_and_twice_is_fine():
    line = stagecraft("destroy", STAGE).strip().splitlines()[-1]
    assert re.fullmatch(r"partners: destroyed in \d+s, 0 resources left, 0 containers left", line), line
    assert lifecycle.leftovers(places.Place(STAGE)) == {}
    assert not environment.is_up(STAGE)
    assert stagecraft("destroy", STAGE).strip() == "partners: destroyed in 0s, 0 resources left, 0 containers left"
    subprocess.run([sys.executable, "-m", "rehearsal", "down", STAGE], cwd=ROOT, check=True)


def test_a_build_killed_half_way_is_destroyed_without_a_remainder():
    subprocess.run([sys.executable, "-m", "rehearsal", "up", STAGE], cwd=ROOT, check=True, timeout=300)
    build = subprocess.Popen([sys.executable, "-m", "stagecraft", "apply", STAGE], cwd=ROOT, start_new_session=True)
    wait_for("a machine", lambda: "InstanceService.Create" in journal(), 120)
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    line = stagecraft("destroy", STAGE).strip().splitlines()[-1]
    assert line.endswith("0 resources left, 0 containers left"), line
    assert lifecycle.leftovers(places.Place(STAGE)) == {}
