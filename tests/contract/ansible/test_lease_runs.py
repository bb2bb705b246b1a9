"""Two runs on one stage by real Ansible: the second stops or waits, and a dead run's lease is taken over."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
import yaml
from ansible_runs import ROOT, command, contents, marked, stack
from waiting import wait_for

TAKE = {"stagecraft.platform.yc_lease": {"wait": "0s", "ttl": "8s"}}
LET_GO = {"stagecraft.platform.yc_lease": {"state": "absent"}}
NETWORK = stack([{"vpc_network": {"name": "main"}}])


def accounts(cloud) -> list:
    return [a for a in cloud.cloud.all("iam.v1.ServiceAccount") if a.name.startswith("stagecraft-lease-")]


@pytest.fixture
def other_run(variables, cloud, tmp_path):
    """Another run on another machine that has the lease and is at its work; ended at the end of the test."""
    book = tmp_path / "other.yml"
    wait = {"ansible.builtin.pause": {"seconds": 120}}
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [TAKE, wait]}]))
    mark = variables["STAGECRAFT_TEST_MARK"] + "-other"
    run = subprocess.Popen(
        [command("ansible-playbook"), "-i", "localhost,", "-c", "local", str(book)],
        cwd=ROOT, env=variables | {"STAGECRAFT_TEST_MARK": mark}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_for("the lease", lambda: accounts(cloud), 60)
    run.mark = mark
    yield run
    kill(mark)
    run.wait()


def kill(mark: str) -> None:
    """Power off: nothing of a run goes on, its agent neither."""
    for process, _ in marked(mark):
        os.kill(process, signal.SIGKILL)


@pytest.mark.slow
def test_the_second_stops_and_a_dead_runs_lease_is_taken_over(play, cloud, other_run):
    (held,) = accounts(cloud)
    run = play(TAKE)
    (refused,) = run.results
    assert refused["failed"] and "is held by" in refused["msg"] and "other.yml" in refused["msg"]
    assert f"(process {other_run.pid}, " in refused["msg"] and "Traceback" not in run.output
    kill(other_run.mark)
    other_run.wait()
    waits = {"stagecraft.platform.yc_lease": {"wait": "30s", "ttl": "8s"}}
    taken, made, let_go, left, gone = play(
        waits, NETWORK, LET_GO, contents(), stack([{"vpc_network": {"name": "main"}}], state="absent")
    ).results
    assert not taken["failed"] and taken["held"] and not taken["changed"], taken
    assert held.id not in [row["id"] for row in left["resources"]] and not accounts(cloud)
    assert made["changed"] and not let_go["changed"] and gone["changed"]


@pytest.mark.slow
def test_a_run_that_ends_any_way_leaves_no_lease(play, cloud, other_run):
    """Killed alone, its agent sees that and lets go; one that ends without letting go itself does too."""
    os.kill(other_run.pid, signal.SIGKILL)
    wait_for("the end of the lease", lambda: not accounts(cloud), 20)
    taken, again, failed = play(TAKE, TAKE, {"ansible.builtin.fail": {"msg": "on the way"}}).results
    assert taken["held"] and again["held"] and failed["failed"]
    wait_for("the end of the lease", lambda: not accounts(cloud), 20)


@pytest.fixture
def slow_lease(cloud):
    """The lease's account is there three seconds before its run is told so."""
    cloud.faults.add("operation.OperationService.Get", effect="slow", delay=3, count=1)


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_takes_the_lease_leaves_none(slow_lease, cloud, other_run):
    os.kill(other_run.pid, signal.SIGKILL)
    wait_for("the end of the lease", lambda: not accounts(cloud), 20)


def test_check_mode_takes_none(play, cloud):
    (seen,) = play({**TAKE, "check_mode": True}).results
    assert not seen["held"] and not accounts(cloud)
    assert seen["holder"]["playbook"] == "play.yml" and seen["holder"]["process"] not in (0, os.getpid())
    (refused,) = play({"stagecraft.platform.yc_lease": {"wait": "banana"}, "check_mode": True}).results
    assert refused["failed"] and "wait: 'banana'" in refused["msg"], refused


@pytest.mark.slow
def test_a_run_that_lost_its_lease_changes_nothing_more(play, cloud):
    """Its account is gone, as if it had been taken over; the renewal notices, and the next task of the stack stops."""
    sleep = {"ansible.builtin.pause": {"seconds": 6}}
    folder = cloud.env["YC_FOLDER_ID"]
    gone = {"stagecraft.platform.yc_iam_service_account": {"name": f"stagecraft-lease-{folder}", "state": "absent"}}
    taken, deleted, _, made, let_go = play(TAKE, gone, sleep, NETWORK, LET_GO).results
    assert taken["held"] and deleted["changed"]
    for result in (made, let_go):
        assert result["failed"] and "this run has lost the lease of folder" in result["msg"], result
    assert not cloud.cloud.all("vpc.v1.Network")
