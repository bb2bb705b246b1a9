"""What was changed behind the back of the partners stage: named, repaired by the next run, and nothing else."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections import Counter

import pytest
from commands import ROOT, stagecraft
from sdk_calls import Caller
from waiting import wait_for

from rehearsal import environment

from . import hand_made
from .partners_stage import STAGE, as_root, prometheus, report

pytestmark = [pytest.mark.root, pytest.mark.slow]

drift = functools.partial(report, "drift")
LEFT = "user alice,group alice,package tree,port *:8099/tcp,postgresql_database main/inference extensions*"


def named(found: dict) -> set[tuple[str, str, str, str]]:
    return {(row["kind"], row["name"], row["what"], row["field"]) for row in found["differences"]}


def in_prometheus() -> dict[str, float]:
    """How many things differ, by place, as the stage's Prometheus has it."""
    return {row["metric"]["place"]: float(row["value"][1]) for row in prometheus("stagecraft_drift_differences")}


def test_nothing_has_drifted_on_a_stage_that_was_just_applied():
    stagecraft("apply", STAGE)
    found = drift(0)
    assert found["differences"] == [] == found["unknown"] and found["ignored"] == 0


def test_fifteen_changes_are_named_and_repaired_and_what_is_ignored_stays():
    with Caller(environment.netns(STAGE), environment.environment(STAGE)) as cloud:
        done, left = hand_made.in_the_cloud(cloud), hand_made.an_extension(cloud)
        closed = f"{hand_made.machine_address(cloud, 'backend-1')}:8443/tcp"
    done |= {("port", closed, "gone", "")}  # by the unit that is stopped
    for one in (*hand_made.ON_MACHINES, *hand_made.IGNORED):
        made = as_root(one.host, one.script)
        assert made.returncode == 0, made.stdout + made.stderr
    done |= {row for one in hand_made.ON_MACHINES for row in one.rows}
    left |= {row for one in hand_made.IGNORED for row in one.rows}
    found = drift(2)
    assert named(found) == done | left
    dated = {row["kind"] for row in found["differences"] if row["since"]}
    assert dated >= {"file", "package", "unit", "user", "vpc_security_group", "compute_instance"}
    found = drift(2, "-e", f"drift_ignored={LEFT}")
    assert named(found) == done and found["ignored"] == len(left)
    counts = Counter(row["where"] for row in drift(2, "--export")["differences"])
    wait_for("the differences in Prometheus", lambda: in_prometheus() == counts)
    (looked,) = prometheus("stagecraft_drift_last_success_timestamp_seconds")
    assert 0 <= time.time() - float(looked["value"][1]) < 600
    stagecraft("apply", STAGE)
    assert named(drift(2)) == left, "a run brings back what is declared, and does not take over the rest"
    assert drift(0, "-e", f"drift_ignored={LEFT}", "--export")["ignored"] == len(left)
    wait_for("no difference in Prometheus", lambda: set(in_prometheus().values()) == {0.0})


def test_a_pattern_that_means_nothing_is_refused():
    command = [sys.executable, "-m", "stagecraft", "drift", STAGE, "-e", "drift_ignored=packages tree"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and "'packages tree'" in done.stderr, done.stderr
