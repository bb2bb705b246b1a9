"""Starting, finding and ending the processes of a rehearsal: real ones, without root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from waiting import wait_for

from rehearsal import processes
from rehearsal.places import Place
from rehearsal.processes import Daemon

SLEEP = Daemon("sleeper", (sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path))
    made = Place(f"unit{os.getpid()}")
    yield made
    processes.end(processes.marked(made), patience=1)


def test_a_daemon_is_started_once_and_started_again_when_it_died(place):
    assert processes.start(place, SLEEP)
    first = processes.running(place, "sleeper")
    assert not processes.start(place, SLEEP)
    assert processes.running(place, "sleeper") == first
    os.kill(first, signal.SIGKILL)
    wait_for("its end", lambda: not processes.running(place, "sleeper"), 5, pause=0.01)
    assert processes.daemons(place) == {"sleeper": None}
    assert processes.start(place, SLEEP)
    assert processes.running(place, "sleeper") not in (None, first)


def test_what_it_prints_is_kept(place):
    processes.start(place, SLEEP)
    log = processes.log_file(place, "sleeper")
    assert wait_for("what it prints", log.read_text, 5, pause=0.01) == "here\n"
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_a_process_id_that_belongs_to_somebody_else_does_not_count(place):
    processes.start(place, SLEEP)
    time.sleep(0.05)  # starts are told apart by clock ticks
    with subprocess.Popen(["sleep", "60"]) as other:
        record = place.folder / "run" / "sleeper.pid"
        record.write_text(record.read_text().replace(str(processes.running(place, "sleeper")), str(other.pid), 1))
        assert processes.running(place, "sleeper") is None
        processes.stop(place, "sleeper")
        assert other.poll() is None
        other.kill()


def test_a_daemon_whose_environment_cannot_be_read_runs_all_the_same(place):
    started = processes.start(place, Daemon("bare", ("env", "-i", "sleep", "60")))
    wait_for("an environment without the marker", lambda: not processes.marked(place), 5, pause=0.01)
    assert processes.running(place, "bare") == started.pid
    processes.stop(place, "bare")
    assert started.wait(1) == -signal.SIGTERM


def test_a_daemon_without_a_record_is_found_by_its_marker_and_ended(place):
    processes.start(place, SLEEP)
    pid = processes.running(place, "sleeper")
    (place.folder / "run" / "sleeper.pid").unlink()
    assert processes.marked(place) == {pid}
    assert processes.end({pid}) == 1
    assert processes.marked(place) == set()


def test_one_that_will_not_listen_is_ended_all_the_same(place):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    processes.start(place, Daemon("stubborn", (sys.executable, "-c", stubborn)))
    wait_for("deaf", processes.log_file(place, "stubborn").read_text, 5, pause=0.01)
    processes.end(processes.marked(place), patience=0.3)
    assert processes.marked(place) == set()


def test_the_caller_is_never_among_them(place, monkeypatch):
    code = (
        "from rehearsal import processes; from rehearsal.places import Place; import os;"
        f"print(os.getpid() in processes.of_rehearsal(Place('{place.name}')))"
    )
    env = {**os.environ, processes.MARKER: place.name}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
