"""Plain ansible-playbook: a missing stage and another stage's inventory are refused with one message."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def play(playbook, *arguments, **variables):
    plain = {k: v for k, v in os.environ.items() if not k.startswith("YC_") and k != "STAGE"}
    quiet = {"YC_METADATA_ADDR": "127.0.0.1:9"}  # no machine's own account
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", str(ROOT / "playbooks" / playbook), *arguments],
        cwd=ROOT, env=plain | quiet | variables, capture_output=True, text=True,
    )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in said
    return done.returncode, said


def test_no_stage():
    code, said = play("partners.yml")
    assert (
        code == 2 and "No stage. Choose one with `export STAGE=<stage>`" in said and "there are: mvp, partners." in said
    )


def test_another_stages_inventory(tmp_path):
    inventory = tmp_path / "inventories" / "other"
    shutil.copytree(ROOT / "inventories" / "partners", inventory, symlinks=False)
    declared = inventory / "group_vars" / "all" / "stage.yml"
    declared.write_text(declared.read_text().replace("stage: partners", "stage: other", 1))
    code, said = play("partners.yml", "-i", str(inventory), YC_FOLDER_ID="b1gx")
    assert (
        code == 2 and "This playbook builds partners, but the inventory is that of other. Nothing was touched." in said
    )


def test_no_folder():
    code, said = play("partners.yml", STAGE="partners")
    assert code == 2 and "partners has no folder. Set YC_FOLDER_ID" in said


def test_destroy_wants_the_name():
    code, said = play("destroy.yml", STAGE="partners", YC_FOLDER_ID="b1gx")
    assert code == 2 and "Say so: -e confirm=partners. Nothing was touched." in said
    code, said = play("destroy.yml", "-e", "confirm=partners", STAGE="partners", YC_FOLDER_ID="b1gx")
    assert code == 2 and "Add -e destroy_data=yes to delete it. Nothing was touched." in said
