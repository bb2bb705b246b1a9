"""The port scan of the verification against sockets that are open, closed and silent, on a machine that is busy."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "playbooks" / "verification" / "machines" / "portscan.py"
PROGRAM = "\nimport json, sys\nprint(json.dumps(scan(**json.loads(sys.argv[1]))))\n"
HERE = {"here": "127.0.0.1"}


def started(given: dict[str, Any], *around: str) -> subprocess.Popen[str]:
    """A scan in a process of its own, as text like on a machine."""
    command = [*around, sys.executable, "-c", SCRIPT.read_text() + PROGRAM, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(scan: subprocess.Popen[str]) -> dict[str, dict[str, list[int]]]:
    said, wrong = scan.communicate(timeout=60)
    assert scan.returncode == 0, wrong
    return json.loads(said)


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """It takes connections on every address of this machine's loopback."""
    with socket.create_server(("", 0), backlog=1000) as made:
        made.settimeout(20)
        yield made


@pytest.fixture
def refused() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind(("", 0))
        yield port_of(bound)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A listener with a full queue: Linux drops what would be one more connection, as a firewall does."""
    with socket.create_server(("", 0), backlog=0) as made, contextlib.ExitStack() as waiting:
        with contextlib.suppress(TimeoutError):
            while True:
                waiting.enter_context(socket.create_connection(("127.0.0.1", port_of(made)), 0.3))
        made.settimeout(20)
        yield made


def test_open_refused_and_silent_are_told_apart(listener: socket.socket, refused: int, silent: socket.socket) -> None:
    given = {"targets": HERE, "ports": [port_of(listener), refused, port_of(silent)]}
    found = finished(started({**given, "control": ("127.0.0.1", port_of(listener))}))
    assert found == {"here": {"open": [port_of(listener)], "refused": [refused]}}


@pytest.mark.parametrize("state", ["refused", "silent"])
def test_a_scan_that_misses_its_control_says_nothing(
    listener: socket.socket, refused: int, silent: socket.socket, state: str
) -> None:
    control = {"refused": refused, "silent": port_of(silent)}[state]
    scan = started({"targets": HERE, "ports": [port_of(listener)], "control": ("127.0.0.1", control)})
    said, wrong = scan.communicate(timeout=60)
    assert scan.returncode == 1 and said == ""
    assert f"127.0.0.1:{control} " in wrong and f"found it {state}" in wrong and "cannot be used" in wrong


def test_a_process_that_gets_no_time_sees_what_came_meanwhile(listener: socket.socket, silent: socket.socket) -> None:
    scan = started({"targets": HERE, "ports": [port_of(silent)], "control": ("127.0.0.1", port_of(listener))})
    with contextlib.closing(listener.accept()[0]):
        time.sleep(0.2)  # the wave has been asked, and its first packet to the full queue is lost
        scan.send_signal(signal.SIGSTOP)
        silent.accept()[0].close()
        time.sleep(3)  # the second packet is taken after one, and the wave's time is over
        scan.send_signal(signal.SIGCONT)
        assert finished(scan)["here"]["open"] == [port_of(silent)]


@pytest.mark.slow
def test_an_open_port_is_found_on_a_machine_that_is_busy(
    listener: socket.socket, refused: int, silent: socket.socket
) -> None:
    """Several waves that mostly wait, on one processor that others keep busy."""
    processor = str(min(os.sched_getaffinity(0)))
    pinned = ("taskset", "--cpu-list", processor)
    targets = {f"127.0.1.{last}": f"127.0.1.{last}" for last in range(1, 251)}
    given = {"targets": targets, "ports": [port_of(silent), refused, port_of(listener)] * 3}
    with contextlib.ExitStack() as load:
        for _ in range(8):
            burning = load.enter_context(subprocess.Popen([*pinned, sys.executable, "-c", "while True: pass"]))
            load.callback(burning.kill)
        scan = started({**given, "control": ("127.0.0.1", port_of(listener))}, *pinned, "nice", "-n", "10")
        found = finished(scan)
    assert found == {name: {"open": [port_of(listener)] * 3, "refused": [refused] * 3} for name in targets}
