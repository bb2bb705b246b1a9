"""What the command says to a person who left something out or misspelled it: one message, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stagecraft import playbooks

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


@pytest.mark.parametrize("command", ["rehearse", "apply", "verify", "destroy", "rollback", "down", "status"])
def test_no_stage_lists_the_stages(tmp_path, command):
    done = run(tmp_path, command)
    assert done.returncode == 2 and "No stage named" in done.stderr and "partners" in done.stderr


def test_a_misspelled_stage_gets_the_nearest_name(tmp_path):
    done = run(tmp_path, "apply", "partner")
    assert done.returncode == 2 and "Did you mean partners?" in done.stderr


def test_a_stage_without_a_way_back_says_so(tmp_path):
    done = run(tmp_path, "rollback", "partners")
    assert done.returncode == 2 and "partners declares no way back: delivery.rollback is not true" in done.stderr


def test_nothing_to_act_on_says_what_to_set(tmp_path):
    done = run(tmp_path, "apply", "partners")
    assert done.returncode == 1
    assert "make rehearse STAGE=partners" in done.stderr and "YC_SERVICE_ACCOUNT_KEY_FILE" in done.stderr


@pytest.mark.parametrize(("what", "says"), [
    ("", "Roll what? Say a role or a machine of partners: bastion"),
    ("backned", "Did you mean backend?"),
    ("backend-3", "There is no role or machine backend-3"),
])  # fmt: skip
def test_what_is_rolled_is_a_role_or_a_machine(tmp_path, what, says):
    done = run(tmp_path, "roll", "partners", what)
    assert done.returncode == 2 and says in done.stderr and "backend-2" in done.stderr


def test_destroying_nothing_is_fine(tmp_path):
    if Path("/run/netns/sc-partners-internet").exists():
        pytest.skip("partners is being rehearsed on this machine")
    done = run(tmp_path, "destroy", "partners")
    assert done.stdout.strip() == "partners: destroyed in 0s, 0 resources left, 0 containers left"


def test_the_cloud_is_not_destroyed_without_its_name(tmp_path):
    done = run(tmp_path, "destroy", "partners", "--where", "cloud", YC_IAM_TOKEN="t1.x", YC_FOLDER_ID="b1gx")
    assert done.returncode == 2 and "ARGS='--where cloud --confirm partners'" in done.stderr


def test_a_machine_of_the_cloud_is_not_replaced_without_the_name_of_its_stage(tmp_path):
    words = ("roll", "partners", "backend", "--replace", "--where", "cloud")
    done = run(tmp_path, *words, YC_IAM_TOKEN="t1.x", YC_FOLDER_ID="b1gx", YC_ENDPOINT="127.0.0.1:9")
    assert done.returncode == 2 and "deletes backend-1, backend-2 with their boot disks" in done.stderr


@pytest.mark.parametrize("command", [["apply"], ["verify"], ["destroy"], ["rotate", "ca"], ["shell", "backend-1"]])
def test_a_misspelled_place_is_never_taken_for_the_cloud(tmp_path, command):
    first, *rest = command
    words = [
        first,
        "partners",
        *rest,
        "--where",
        "rehersal",
        *(["--confirm", "partners"] if first == "destroy" else []),
    ]
    done = run(tmp_path, *words, YC_IAM_TOKEN="t1.x", YC_FOLDER_ID="b1gx", YC_ENDPOINT="127.0.0.1:9")
    assert done.returncode == 2 and "Did you mean rehearsal?" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", ["a file", "/proc/xx"])
@pytest.mark.parametrize("command", ["apply", "down", "rehearse", "destroy"])
def test_a_state_folder_that_cannot_be_is_one_message(tmp_path, bad, command):
    (tmp_path / "a file").touch()
    options = (
        ["--where", "cloud"] if command == "destroy" else []
    )  # where there is nothing, there is nothing to destroy
    done = run(tmp_path, command, "partners", *options, STAGECRAFT_STATE=str(tmp_path / bad))
    assert done.returncode == 1 and "STAGECRAFT_STATE has to name a folder" in done.stderr


def test_a_damaged_file_names_the_remedy_and_the_remedy_works(tmp_path):
    name = f"demo{os.getpid()}"  # a name that nobody else has on this machine: containers have no state folder
    file = tmp_path / name / "rehearsal" / "rehearsal.json"
    file.parent.mkdir(parents=True)
    file.touch()
    for command in (["up", name, "--no-machines"], ["status", name]):
        done = rehearsal(tmp_path, *command)
        assert done.returncode == 1
        assert f"{file} is damaged" in done.stderr and f"make down STAGE={name}" in done.stderr
    assert rehearsal(tmp_path, "down", name).returncode == 0
    assert not file.exists()


def rehearsal(state, *words):
    environment = os.environ | {"STAGECRAFT_STATE": str(state)}
    command = [sys.executable, "-m", "rehearsal", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture
def full_disk(tmp_path):
    """A file system of its own that is full, and has a rehearsal's folder."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(full_disk):
    file = full_disk / "demo" / "rehearsal" / "rehearsal.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"machines": false}')
    filled = subprocess.run(["dd", "if=/dev/zero", f"of={full_disk}/ballast"], capture_output=True, text=True)
    assert "No space left" in filled.stderr
    done = rehearsal(full_disk, "up", "demo", "--no-machines")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "No space left on device. Free some space and run the same again" in done.stderr
    assert file.read_text() == '{"machines": false}'
    assert [file.name for file in file.parent.glob("*.new")] == []


def test_the_version_is_an_option(tmp_path):
    assert run(tmp_path, "--version").stdout == run(tmp_path, "version").stdout != ""


@pytest.mark.parametrize("where", [[], ["--where", "cloud"]])
def test_an_unknown_machine_gets_the_nearest_and_all(tmp_path, where):
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners" / "ssh_config").write_text("Host backend-1\nHost edge-1\nHost *\n  User anna\n")
    done = run(tmp_path, "shell", "partners", "backed-1", *where, YC_IAM_TOKEN="t1.x")
    assert done.returncode == 2
    assert "no machine backed-1. Did you mean backend-1? There are: backend-1, edge-1." in done.stderr


def test_options_say_what_they_do(tmp_path):
    for command in ("apply", "destroy", "test", "shell"):
        rows = [line for line in run(tmp_path, command, "--help").stdout.splitlines() if line.startswith("  --")]
        assert rows and all(len(row.split("  ")) > 2 and row.split("  ")[-1].strip() for row in rows), rows


@pytest.mark.parametrize("said", ["lease_wait", "=20m", "lease wait=20m"])
def test_a_variable_without_a_name_or_a_value_is_refused(tmp_path, said):
    done = run(tmp_path, "apply", "partners", "-e", said)
    assert done.returncode == 2 and f"-e {said}: say it as name=value" in done.stderr


def test_a_misspelled_variable_of_a_run_gets_the_nearest_name(tmp_path):
    done = run(tmp_path, "apply", "partners", "-e", "serving_gpuz=0")
    assert (
        done.returncode == 2
        and "-e serving_gpuz: nothing reads serving_gpuz. Did you mean serving_gpus?" in done.stderr
    )


def test_variables_of_a_run_are_text():
    assert playbooks.extra_variables(["lease_wait=20m", "note=a=b", "empty="]) == {
        "lease_wait": "20m", "note": "a=b", "empty": "",
    }  # fmt: skip


def test_an_image_is_not_dated_by_what_is_no_time(tmp_path):
    done = run(tmp_path, "image", SOURCE_DATE_EPOCH="soon")
    assert done.returncode == 2 and "SOURCE_DATE_EPOCH=soon: give whole seconds since 1970" in done.stderr
