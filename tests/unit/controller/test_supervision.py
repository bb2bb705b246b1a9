"""A run that is stopped, or whose command is killed, leaves no process, no credentials, and a log of what it did."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from waiting import wait_for

from rehearsal import processes
from stagecraft.supervision import RUN

ROOT = Path(__file__).resolve().parents[3]
SECRET = "t1.not-a-real-token"
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Say something first
      ansible.builtin.debug: {msg: the first task was here}
    - name: Take long, in a session of its own
      ansible.builtin.command: setsid --wait sh -c 'echo $$ > "$FILE"; sleep 300'
      environment: {FILE: "{{ file }}"}
"""
DRIVER = """
import sys
from pathlib import Path
from rich.console import Console
from stagecraft import cli, playbooks
from stagecraft.lock import alone
from stagecraft.stages import Stage
from stagecraft.target import Target

@cli.app.command()
def drill(playbook: str, file: str):
    stage = Stage("partners")
    with alone(stage, "drill"):
        target = Target(stage, False, {"ANSIBLE_INVENTORY": file + ".hosts"})
        playbooks.run(target, Path(playbook), Console(), {"file": file})

cli.main()
"""


class Drill:
    """A command that runs a playbook, in the middle of its long task."""

    def __init__(self, folder: Path):
        self.state = folder / "state"
        self.folder = self.state / "partners"
        playbook, self.mark = folder / "long.yml", folder / "pid"
        playbook.write_text(PLAYBOOK)
        (folder / "pid.hosts").write_text("all: {hosts: {localhost: {}}}")
        environment = {**os.environ, "STAGECRAFT_STATE": str(self.state), "YC_TOKEN": SECRET, "PYTHONPATH": str(ROOT)}
        environment["TMPDIR"] = tempfile.mkdtemp(prefix="sc")  # not in `folder`: sockets want short paths
        self.command = [sys.executable, "-c", DRIVER, "drill", str(playbook), str(self.mark)]
        self.environment = environment
        self.process = self.start()
        wait_for("its mark", lambda: self.mark.exists() and self.mark.read_text().strip(), 30)
        assert int(self.mark.read_text()) in self.left()

    def start(self) -> subprocess.Popen[str]:
        out = subprocess.PIPE
        return subprocess.Popen(
            self.command, env=self.environment, stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where the tests run in the background
        )  # fmt: skip

    def left(self) -> set[int]:
        return processes.carrying(RUN, str(self.folder))

    def log(self) -> str:
        return next((self.folder / "logs").glob("*.log")).read_text()


@pytest.fixture
def drill(tmp_path):
    made = Drill(tmp_path)
    yield made
    made.process.kill()
    processes.end(made.left(), patience=1)
    shutil.rmtree(made.environment["TMPDIR"])


def test_while_it_runs_its_log_grows_and_its_credentials_are_in_no_file(drill):
    assert "the first task was here" in drill.log()
    folders = (drill.state, Path(drill.environment["TMPDIR"]))
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert any(file.is_relative_to(drill.folder / "scratch") for file in files)
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_is_said_when_every_process_has_ended(drill, number):
    drill.process.send_signal(number)
    said, _ = drill.process.communicate(timeout=30)
    assert drill.left() == set()
    assert drill.process.returncode == 128 + number
    assert "stopped, and every process of this run has ended" in said and "run the same again" in said
    assert "Traceback" not in said


def test_after_a_kill_nothing_goes_on_and_the_next_run_removes_what_is_left(drill):
    drill.process.kill()
    wait_for("the end of its processes", lambda: not drill.left(), 30)
    wait_for("the log", lambda: "The command was killed" in drill.log(), 5)
    assert "the first task was here" in drill.log()
    scratch = drill.folder / "scratch"
    (killed,) = scratch.iterdir()
    drill.mark.unlink()
    again = drill.start()
    try:
        wait_for("its mark", drill.mark.exists, 30)
        assert not killed.exists()
    finally:
        again.terminate()
        again.communicate(timeout=30)


def test_a_second_run_of_a_stage_is_refused_and_named(drill):
    second = drill.start()
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"partners: another run is going on (pid {drill.process.pid}, drill, since " in said
    assert drill.process.poll() is None and drill.left()
