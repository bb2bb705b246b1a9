"""What the command says to a person who left something out or misspelled it: one message, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(tmp_path, *arguments, **variables):
    """The command with a state folder of its own and no credentials."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("YC_", "STAGECRAFT_")) and k != "STAGE"}
    environment = plain | {"STAGECRAFT_STATE": str(tmp_path), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "stagecraft", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.mark.parametrize("command", ["rehearse", "apply", "verify", "destroy", "down", "status"])
def test_no_stage_lists_the_stages(tmp_path, command):
    done = run(tmp_path, command)
    assert done.returncode == 2 and "No stage named" in done.stderr and "partners" in done.stderr


def test_a_misspelled_stage_gets_the_nearest_name(tmp_path):
    done = run(tmp_path, "apply", "partner")
    assert done.returncode == 2 and "Did you mean partners?" in done.stderr


def test_nothing_to_act_on_says_what_to_set(tmp_path):
    done = run(tmp_path, "apply", "partners")
    assert done.returncode == 1
    assert "make rehearse STAGE=partners" in done.stderr and "YC_SERVICE_ACCOUNT_KEY_FILE" in done.stderr


def test_destroying_nothing_is_fine(tmp_path):
    if Path("/run/netns/sc-partners-internet").exists():
        pytest.skip("partners is being rehearsed on this machine")
    done = run(tmp_path, "destroy", "partners")
    assert done.stdout.strip() == "partners: destroyed in 0s, 0 resources left, 0 containers left"


def test_the_cloud_is_not_destroyed_without_its_name(tmp_path):
    done = run(tmp_path, "destroy", "partners", "--where", "cloud", YC_IAM_TOKEN="t1.x", YC_FOLDER_ID="b1gx")
    assert done.returncode == 2 and "--confirm partners" in done.stderr
