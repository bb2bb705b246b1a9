"""`stagecraft accept` of a small stage, whole: in a folder of its own of an emulated cloud, gone whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from waiting import wait_for

FOLDERS = "resourcemanager.v1.Folder"
PATIENCE = 300  # seconds


def ended(process: subprocess.Popen) -> tuple[int, str]:
    output = process.communicate(timeout=PATIENCE)[0]
    assert "Traceback" not in output, output
    return process.returncode, output


def nothing_is_left(cloud) -> None:
    assert {folder.name for folder in cloud.cloud.all(FOLDERS)} == {"default", "standard-images"}
    assert not cloud.cloud.all("vpc.v1.Network")
    assert [one.name for one in cloud.cloud.all("iam.v1.ServiceAccount")] == ["stagecraft"]


def calls(cloud, ending: str) -> int:
    """How often the cloud was asked for what ends so."""
    return sum(entry["method"].endswith(ending) for entry in cloud.journal.entries())


def made(cloud) -> int:
    """How many things somebody wanted to make, tokens aside."""
    return calls(cloud, "Service.Create") - calls(cloud, "IamTokenService.Create")


def test_a_stage_is_accepted_and_the_report_is_signed_and_says_nobody_s_ids(granted, accept, checkout):
    made = calls(granted, "FolderService.Create")
    code, output = ended(accept())
    assert code == 0, output
    assert re.search(r"small: accepted in \d+s, 1 checks passed, 0 resources left, its folder is gone", output)
    assert calls(granted, "FolderService.Create") == made + 1
    nothing_is_left(granted)
    text = accept.report.read_text()
    assert text.startswith("# Acceptance of small: accepted\n")
    for said in ("| Make a folder |", "| Build |", "| Verify |", "| Delete the folder |", "| checks passed | 1 |"):
        assert said in text
    account = granted.cloud.identity.oauth[1]
    for secret in (granted.cloud.cloud_id, granted.cloud.folder_id, account, str(checkout)):
        assert secret not in text
    verified = [sys.executable, "-m", "stagecraft", "accept", "--verify", str(accept.report)]
    done = subprocess.run(verified, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0 and 'Good "stagecraft-accept" signature' in done.stdout


@pytest.mark.parametrize(("effect", "step"), [
    ({"method": "vpc.v1.NetworkService.Create", "code": "PERMISSION_DENIED"}, "Build"),
    ({"method": "resourcemanager.v1.FolderService.Create", "code": "PERMISSION_DENIED"}, "Make a folder"),
    ({"method": "resourcemanager.v1.FolderService.Create", "code": "INTERNAL", "effect": "lose"}, "Make a folder"),
])  # fmt: skip
def test_what_fails_is_reported_and_leaves_nothing(granted, accept, effect, step):
    granted.faults.add(**effect, message="not you", count=None)
    code, output = ended(accept())
    granted.faults.clear()
    assert code == 1 and f"not accepted. It failed during: {step}." in output, output
    assert "everything that was made is gone again" in output and "not you" in output
    nothing_is_left(granted)
    text = accept.report.read_text()
    assert "NOT accepted" in text and re.search(rf"\| {step} \| \d+s \| failed \|", text)


def test_checks_that_fail_are_in_the_report(granted, accept, checkout):
    (checkout / "release.txt").write_text("bad-1\n")
    code, output = ended(accept())
    (checkout / "release.txt").write_text("good-1\n")
    assert code == 1 and "1 of 1 checks failed" in output, output
    nothing_is_left(granted)
    assert "test_small: test_what_serves_is_good" in accept.report.read_text()


@pytest.mark.parametrize(
    ("call", "step"), [("FolderService.Create", "Make a folder"), ("NetworkService.Create", "Build")]
)
def test_a_signal_takes_down_what_was_made(granted, accept, call, step):
    granted.cloud.delay, before = 2.0, calls(granted, call)
    run = accept()
    wait_for(call, lambda: calls(granted, call) > before, PATIENCE)
    os.kill(run.pid, signal.SIGTERM)  # the other is ignored by what runs in the background
    granted.cloud.delay = 0.02
    code, output = ended(run)
    assert code == 1 and f"It was stopped during: {step}." in output, output
    nothing_is_left(granted)
    assert re.search(rf"\| {step} \| \d+s \| stopped \|", accept.report.read_text())


def test_what_takes_longer_than_it_may_is_taken_down(granted, accept):
    code, output = ended(accept("--hours", "0.001"))
    assert code == 1 and "The 0.001 hours that it may take were over" in output, output
    nothing_is_left(granted)


def test_what_cannot_be_taken_away_is_named_with_what_to_do(granted, accept):
    granted.faults.add("vpc.v1.NetworkService.Delete", code="PERMISSION_DENIED", message="not you", count=None)
    code, output = ended(accept())
    granted.faults.clear()
    (left,) = (one for one in granted.cloud.all(FOLDERS) if one.name.startswith("stagecraft-accept-small-"))
    for network in granted.cloud.all("vpc.v1.Network"):
        granted.cloud.store.drop("vpc.v1.Network", network.id)
    granted.cloud.store.drop(FOLDERS, left.id)
    assert code == 1 and f"LEFT: the folder {left.name}" in output, output
    assert f"yc resource-manager folder delete {left.name}" in output
    assert f"| left in the cloud | the folder {left.name} |" in accept.report.read_text()


def test_a_quota_that_is_too_small_is_named_and_nothing_is_touched(granted, accept):
    granted.cloud.quotas.set("vpc.networks.count", 0)
    before = made(granted)
    code, output = ended(accept())
    granted.cloud.quotas.set("vpc.networks.count", 9)
    assert code == 1 and "vpc.networks.count: 1 needed, 0 left of 0" in output, output
    assert "quota-id=vpc.networks.count,value=1" in output and "Nothing was touched" in output
    assert made(granted) == before and not accept.report.exists()


@pytest.mark.parametrize("held", ["auditor", "editor"])
def test_an_account_that_lacks_roles_on_the_cloud_touches_nothing(granted, accept, held):
    account, cloud, identity = granted.cloud.identity.oauth[1], granted.cloud.cloud_id, granted.cloud.identity
    identity.unbind(cloud, "admin", "serviceAccount", account)
    identity.bind(cloud, held, "serviceAccount", account)
    before = made(granted)
    code, output = ended(accept())
    identity.unbind(cloud, held, "serviceAccount", account)
    identity.bind(cloud, "admin", "serviceAccount", account)
    assert code == 1 and f"--role admin --service-account-id {account}" in output, output
    assert "it lacks, on the cloud: " in output and "Nothing was touched" in output
    assert ("compute.editor" in output) == (held == "auditor") and "resource-manager.admin" in output
    assert made(granted) == before


def test_nothing_is_made_where_the_stage_is_not_named_once_more(granted, accept):
    before = made(granted)
    code, output = ended(accept("--confirm", "smal"))
    assert code == 2 and "Not done: this makes a folder, builds small in it, and deletes both" in output, output
    assert made(granted) == before and not accept.report.exists()


def test_a_cloud_that_is_not_there_is_one_message(granted, accept):
    code, output = ended(accept("--cloud-id", "b1gnotthere"))
    assert code == 1 and "there is no cloud b1gnotthere that these credentials" in output, output
