"""Ctrl-C, or a kill: no process stays, and the next run goes on from what is there."""

import os
import signal
import subprocess
import sys

import pytest
import yaml
from ansible_runs import ROOT, calls, command, marked, stack
from waiting import wait_for

PACKAGE = "ansible_collections.stagecraft.platform.plugins.plugin_utils"
RESOURCES = [
    {"vpc_network": {"name": "main"}},
    {"vpc_subnet": {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.0.0.0/24"]}},
]


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_process_and_nothing_twice(play, cloud, variables, tmp_path):
    before = len(calls(cloud, "NetworkService.Create"))
    cloud.cloud.delay = 4.0
    book = tmp_path / "play.yml"
    play_ = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [stack(RESOURCES)]}
    book.write_text(yaml.safe_dump([play_]))
    run = subprocess.Popen(
        [command("ansible-playbook"), "-i", "localhost,", str(book)],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for("a network", lambda: len(calls(cloud, "NetworkService.Create")) > before, 60)
    os.kill(run.pid, signal.SIGINT)
    run.wait(30)
    wait_for("the end of its processes", lambda: not marked(variables["STAGECRAFT_TEST_MARK"]), 15)
    cloud.cloud.delay = 0.02
    again, gone = play(stack(RESOURCES), stack(RESOURCES, state="absent")).results
    assert not again["failed"], again["msg"]
    assert len(calls(cloud, "NetworkService.Create")) == before + 1
    assert not gone["failed"] and gone["changed"], gone["msg"]


def test_what_is_killed_takes_its_child_along(cloud, variables):
    before = len(calls(cloud, "NetworkService.Create"))
    cloud.cloud.delay = 30.0
    request = {"connection": {}, "resources": RESOURCES[:1], "state": "present", "check": False, "workers": 2}
    request |= {"stage": None, "app": None, "prune": False}
    asks = f"from {PACKAGE}.cloud_process import ask; ask('stack', {request})"
    killed = subprocess.Popen([sys.executable, "-c", asks], env=variables | {"PYTHONPATH": str(ROOT / "collections")})
    wait_for("a network", lambda: len(calls(cloud, "NetworkService.Create")) > before, 30)
    killed.kill()
    killed.wait(10)
    wait_for("the end of its processes", lambda: not marked(variables["STAGECRAFT_TEST_MARK"]), 10)
    cloud.cloud.delay = 0.02
