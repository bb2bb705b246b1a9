"""The short form of `make chaos`: faults and kills on the cloud's side of the partners stage, and proof that it sees."""

from __future__ import annotations

import pytest

from rehearsal.cloud import server
from rehearsal.cloud.descriptors import new
from rehearsal.cloud.service import new_id
from stagecraft import chaos
from stagecraft.stages import stage

SEED = 20261122


def say(line: str) -> None:
    print(line, flush=True)


@pytest.fixture
def drill(tmp_path):
    """Two resources, so that what a broken engine would leave can be left by hand."""
    emulator = server.start(tmp_path / "cloud")
    declared = {"vpc_network": {"main": None}, "lockbox_secret": {"kept": None}}
    made = chaos.Drill(emulator.folder, lambda state: chaos.engine(emulator.env, declared, state))
    made.cloud = emulator
    yield made
    emulator.stop()


@pytest.mark.slow
def test_fifty_faults_leave_no_duplicate_and_no_remainder():
    line = chaos.faults(stage("partners"), 50, SEED, say)
    assert int(line.split()[0]) >= 50 and line.endswith("0 duplicates, 0 left"), line


@pytest.mark.slow
def test_a_killed_run_and_a_killed_cloud_are_mended_by_the_next_run():
    line = chaos.kills(stage("partners"), 3, SEED, say)
    assert line == f"3 kills, seed {SEED}: every next run converged, 0 duplicates, 0 left"


def test_a_remainder_is_seen(drill):
    drill.learn()
    stray = drill.cloud.cloud
    stray.kind("vpc.v1.Gateway").save(stray, stray_gateway(drill, "stray"))
    with pytest.raises(chaos.Broken, match=r"after taking it away: 1 vpc\.v1\.Gateway instead of 0"):
        drill.settle("absent")


def test_a_duplicate_is_seen(drill):
    drill.learn()
    stray = drill.cloud.cloud
    for _ in range(2):
        stray.kind("vpc.v1.Gateway").save(stray, stray_gateway(drill, "twice"))
    with pytest.raises(chaos.Broken, match=r"there are two of vpc\.v1\.Gateway twice"):
        drill.settle("absent")


def stray_gateway(drill, name: str):
    made = new("vpc.v1.Gateway")
    made.id, made.name, made.folder_id = new_id("enp"), name, drill.cloud.env["YC_FOLDER_ID"]
    return made


def test_a_run_that_claims_too_much_is_seen(drill):
    with pytest.raises(chaos.Broken, match="vpc_network main changes"):
        drill.settle("present", converged=True)


def test_a_message_that_helps_nobody_is_seen(drill):
    rows = [{"item": "vpc_network main", "changed": False, "error": "vpc_network main: it broke"}]
    with pytest.raises(chaos.Broken, match="vpc_network main does not say what to do: vpc_network main: it broke"):
        chaos.judged(rows, "now")
