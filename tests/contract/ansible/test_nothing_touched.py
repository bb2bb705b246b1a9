"""The stage's own playbook says "nothing was touched" only where that is so: keys come first, and are not made before."""

import shutil
import subprocess
import sys

import pytest
import yaml
from ansible_runs import ROOT

CHANGES = ("Create", "Update", "Delete", "AddVersion", "UpdateAccessBindings")
ITS_OWN = ("iam.v1.ServiceAccountService", "iam.v1.IamTokenService")  # a run's lease is an account that comes and goes


@pytest.fixture
def partners(cloud, variables, tmp_path):
    """Run playbooks/partners.yml with a copy of its inventory, in which texts of machines.yml are replaced."""

    def run(*replaced: tuple[str, str], options: tuple[str, ...] = (), **more: str) -> tuple[str, list[str]]:
        inventory = tmp_path / "inventories" / "partners"
        shutil.copytree(ROOT / "inventories" / "partners", inventory, dirs_exist_ok=True)
        machines = inventory / "group_vars" / "all" / "machines.yml"
        text = machines.read_text()
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new, 1)
        machines.write_text(text)
        before = len(cloud.journal.entries())
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", str(ROOT / "playbooks" / "partners.yml"), "-i", str(inventory),
             "-e", "serving_gpus=0", *options],
            cwd=ROOT, env=variables | more, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 2 and "Traceback" not in said, said
        asked = [entry["method"] for entry in cloud.journal.entries()[before:]]
        return said, [m for m in asked if m.rpartition(".")[2] in CHANGES and not m.startswith(ITS_OWN)]

    return run


def test_who_may_log_in_is_nobodys_guess(partners):
    said, changes = partners(STAGECRAFT_OPERATORS="")
    assert "export STAGECRAFT_OPERATORS=203.0.113.7/32" in said, said
    assert changes == []


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["run", "check"])
def test_a_wrong_reference_is_said_before_keys_are_made(partners, options):
    said, changes = partners(
        ("subnet: private", "subnet: privat"), ("subnet: public", "subnet: pubic"), options=options
    )
    assert "nothing was touched" in said and "did you mean private-" in said and "did you mean public-" in said, said
    assert changes == []


def test_a_wrong_option_is_said_before_keys_are_made(partners):
    said, changes = partners(("disk_size: ", "disk_size: many "))
    assert "disk_size" in said, said
    assert changes == []


def test_the_keys_of_another_stages_folder_are_left_alone(partners, play):
    made = play({
        "stagecraft.platform.lockbox_keys": {
            "stage": "real", "keys": {"ca": {"kind": "ca", "common_name": "Real"}, "ssh": {"kind": "ssh"}},
        }
    })  # fmt: skip
    assert made.results[0]["changed"], made.output
    said, changes = partners()
    assert "belongs to the stage real, and a stage owns its folder alone: nothing was touched" in said, said
    assert changes == []
    taken = play({"stagecraft.platform.lockbox_keys": {"stage": "demo", "keys": {"ssh": {"kind": "ssh"}}}})
    assert "belongs to the stage real" in taken.results[0]["msg"], yaml.safe_dump(taken.results)
