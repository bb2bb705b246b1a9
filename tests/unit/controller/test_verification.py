"""What the checks of a stage said, from pytest's own report; and how far they are, while they run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from stagecraft.progress import Play, Progress
from stagecraft.verification import Checks

CHECKS = """
import os
from pathlib import Path
import pytest

def test_good():
    assert "check 1 of 4, test_good" == Path(os.environ["STAGECRAFT_PROGRESS"]).read_text()

@pytest.mark.parametrize("who", ["anna"])
def test_bad(who):
    assert who == "boris", "the wrong one answers"

def test_skipped():
    pytest.skip("not here")

@pytest.fixture
def broken():
    raise OSError("no way in")

def test_error(broken):
    pass
"""
SHARED = Path(__file__).resolve().parents[3] / "playbooks" / "verification" / "shared.py"


def test_failed_checks_are_named_with_the_first_line_of_why(tmp_path):
    (tmp_path / "test_door.py").write_text(CHECKS)
    shutil.copy(SHARED, tmp_path / "conftest.py")
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={tmp_path}", "--junitxml=report.xml", str(tmp_path)]
    environment = os.environ | {"STAGECRAFT_PROGRESS": str(tmp_path / "progress")}
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    told = Checks.of(tmp_path / "report.xml")
    assert told.passed == 1
    assert told.failed == (
        "test_door: test_bad[anna]: AssertionError: the wrong one answers",
        'test_door: test_error: failed on setup with "OSError: no way in"',
    )


def test_the_moment_names_task_machines_and_how_far_a_program_is(tmp_path):
    progress = Progress(Console(), "partners", tmp_path / "progress")
    assert progress.moment() == "starting 0s"
    progress.play, progress.task, progress.hosts = Play("Serving"), "The server runs on", {"serving-1"}
    assert progress.moment() == "Serving 0s: The server runs on [serving-1]"
    (tmp_path / "progress").write_text("check 3 of 40, test_tls")
    assert progress.moment().endswith("[serving-1]: check 3 of 40, test_tls")
