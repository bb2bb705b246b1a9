"""`stagecraft demo`, as somebody without root runs it: each line that it promises, and nothing of it left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_runs import ROOT, marked
from waiting import wait_for

PROMISED = (
    r"An emulated cloud on 127\.0\.0\.1.*\n\$ rehearsal up partners --no-machines\n(.*\n)*?  partners: up\.",
    r"\$ stagecraft apply partners --cloud\n(.*\n)*? +created  \S+ .*\n +… and \d+ more\n"
    r"(.*\n)*?  partners: changed \d+ in ",
    r"\$ stagecraft plan partners --cloud\n(.*\n)*?"
    r"  partners: 0 to create, 0 to change, 0 to replace, 0 to delete, 0 undeclared\n",
    r"SecurityGroupService/UpdateRules \{(.*\n)*?.*0\.0\.0\.0/0",
    r"\$ stagecraft drift partners --cloud\n(.*\n)*?.*security_group database .*rules",
    r"\$ stagecraft apply partners --cloud\n(.*\n)*? +updated  vpc_security_group database \(rules\).*\n"
    r" +updated 1, unchanged \d+\n(.*\n)*?  partners: changed 1 in ",
    r"\$ stagecraft cost partners\n(.*\n)*?  partners: [\d.]+ USD a month, budget ",
    r"\$ stagecraft destroy partners\n(.*\n)*?  partners: destroyed in \d+s, 0 resources left, 0 containers left\n",
    r"demo: built, changed by hand, mended, priced and taken down in \d+ s\n\Z",
)


@pytest.fixture
def person(tmp_path, short_folder):
    """The environment of a person with an empty home and a cloud of their own, which the demo must not touch."""
    home = tmp_path / "home"
    home.mkdir()
    own = {k: v for k, v in os.environ.items() if not k.startswith(("YC_", "ANSIBLE_", "STAGECRAFT_"))}
    mine = {"YC_TOKEN": "of-a-person", "YC_FOLDER_ID": "b1g-of-a-person", "YC_ENDPOINT": "127.0.0.1:9"}
    state = {"STAGECRAFT_STATE": str(home / "state"), "STAGECRAFT_CACHE": str(home / "cache")}
    return own | mine | state | {"COLUMNS": "100", "TMPDIR": str(short_folder), "HOME": str(home)}


def demo(person: dict[str, str]) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-m", "stagecraft", "demo"], subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=person, stdout=pipe, stderr=pipe, text=True)


def read_until(running: subprocess.Popen[str], words: str) -> str:
    """What it says, as far as the line with these words."""
    said = ""
    for line in running.stdout or ():
        said += line
        if words in line:
            return said
    raise AssertionError(said + running.communicate()[1])


def started(person: dict[str, str]) -> tuple[subprocess.Popen[str], str, set[int]]:
    """A demo whose cloud is up, what it has said, and the ports of its Object Storage."""
    running = demo(person)
    said = read_until(running, "up. Variables")
    (file,) = Path(person["STAGECRAFT_STATE"]).rglob("ports.json")
    return running, said, set(json.loads(file.read_text()).values())


def left(person: dict[str, str], ports: set[int]) -> list[object]:
    """Files of the person's home and state folder, processes, and sockets of Object Storage."""
    home, state = Path(person["HOME"]), Path(person["STAGECRAFT_STATE"])
    sockets = [socket for port in ports for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]
    return [*home.rglob("*"), *marked(str(state)), *sockets]


@pytest.mark.slow
def test_every_step_says_what_it_promises_and_nothing_is_left_not_even_by_one_that_was_killed(person):
    killed, _, of_killed = started(person)
    killed.kill()
    killed.communicate()
    assert left(person, of_killed)
    running, first, ports = started(person)
    said, words = running.communicate(timeout=400)
    said = first + said
    assert running.returncode == 0, said + words
    assert "Traceback" not in said + words and "of-a-person" not in said
    rest = said
    for line in PROMISED:
        found = re.search(line, rest)
        assert found, f"{line} is not in:\n{rest}"
        rest = rest[found.end() - 1 :]
    assert left(person, of_killed | ports) == []


@pytest.mark.slow
def test_one_that_is_stopped_leaves_nothing_and_a_second_one_is_refused(person):
    running, _, ports = started(person)
    read_until(running, "Keys and certificates ")
    second = demo(person)
    _, words = second.communicate(timeout=100)
    assert second.returncode == 1 and f"demo: another run is going on (pid {running.pid}, demo, since " in words
    running.send_signal(signal.SIGTERM)
    _, words = running.communicate(timeout=100)
    assert running.returncode == 128 + signal.SIGTERM
    assert words == "error: demo: stopped. Nothing of it is left.\n"
    wait_for("the end of all of it", lambda: not left(person, ports), 10)


@pytest.mark.slow
def test_one_that_fails_says_where_and_leaves_nothing(person):
    failing, _, ports = started(person)
    read_until(failing, "$ stagecraft apply")
    storage = [pid for pid, seen in marked(person["STAGECRAFT_STATE"]) if b"-s3.port=" in seen]
    os.kill(storage[0], signal.SIGKILL)
    said, words = failing.communicate(timeout=200)
    assert failing.returncode == 1 and "Object Storage, bucket partners-" in said, said + words
    assert "Traceback" not in said + words
    assert words.startswith("error: demo: $ stagecraft apply partners --cloud failed (exit code 1): ")
    assert words.endswith("Nothing of it is left.\n")
    wait_for("the end of all of it", lambda: not left(person, ports), 10)
