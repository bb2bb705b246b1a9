"""Ctrl-C, or a kill: no process stays, and the next run goes on from what is there."""

import os
import signal
import subprocess

import pytest
import yaml
from ansible_runs import ROOT, calls, command, marked, stack, wait_until

RESOURCES = [
    {"vpc_network": {"name": "main"}},
    {"vpc_subnet": {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.0.0.0/24"]}},
]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_run_leaves_no_process_and_nothing_twice(end, play, cloud, variables, tmp_path):
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
    wait_until(lambda: len(calls(cloud, "NetworkService.Create")) > before, 60)
    os.kill(run.pid, end)
    run.wait(30)
    wait_until(lambda: not marked(variables["STAGECRAFT_TEST_MARK"]), 15)
    cloud.cloud.delay = 0.02
    again, gone = play(stack(RESOURCES), stack(RESOURCES, state="absent")).results
    assert not again["failed"], again["msg"]
    assert len(calls(cloud, "NetworkService.Create")) == before + 1
    assert not gone["failed"] and gone["changed"], gone["msg"]
