"""A program's environment is made once for what it is made from, by a real Ansible with a real pip."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


def wheel(folder: Path, name: str, answer: str) -> Path:
    """A wheel with one module, whose `answer` is that."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"answer = {answer!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return path


def lock(path: Path) -> str:
    return (
        f"{path.name.partition('-')[0]} @ file://{path} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
    )


def says(home: str, expression: str) -> str:
    done = subprocess.run(
        [f"{home}/bin/python", "-c", f"print({expression})"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def task(tmp_path):
    library = wheel(tmp_path / "library", "library", "by the lock")

    def task(program: str, check: bool = False, **changed: object) -> dict:
        given = {"path": str(tmp_path / "builds"), "python": sys.executable, "requirements": lock(library)}
        given["wheel"] = str(wheel(tmp_path / program.replace(" ", "-"), "program", program))
        return {"stagecraft.platform.python_environment": given | changed, "check_mode": check}

    return task


def test_a_build_is_made_once_and_left_alone_by_the_next(play, task):
    run = play(task("one", check=True), task("one"), task("one"), task("two", check=True), task("two"))
    expected, made, again, other, second = run.results
    assert [r["changed"] for r in run.results] == [True, True, False, True, True], run.output
    assert expected["path"] == made["path"] == again["path"] and other["path"] == second["path"] != made["path"]
    assert expected["diff"]["after"] == f"{made['path']}\n" and "diff" not in again
    assert made["others"] == [] and second["others"] == [made["path"]]
    assert says(made["path"], "__import__('program').answer") == "one"
    assert says(second["path"], "__import__('program').answer") == "two"
    assert says(made["path"], "__import__('library').answer") == "by the lock"


def test_a_build_that_was_interrupted_is_made_again(play, task, tmp_path):
    home = play(task("one")).results[0]["path"]
    Path(home, "requirements.lock").unlink()
    Path(home, "bin", "pip").write_text("half of it")
    run = play(task("one"), task("one"))
    assert [r["changed"] for r in run.results] == [True, False], run.output
    assert says(home, "__import__('program').answer") == "one"


def test_what_cannot_be_installed_is_said(play, task, tmp_path):
    stranger = lock(wheel(tmp_path / "stranger", "stranger", "x")).replace("sha256:", "sha256:00", 1)[:-3] + "\n"
    run = play(
        task("one", wheel=str(tmp_path / "none.whl")),
        task("one", requirements=""),
        task("one", requirements=stranger),
        task("one", python="/nowhere/python3"),
    )
    missing, empty, refused, nowhere = (r["msg"] for r in run.results)
    assert missing == f"wheel: {tmp_path / 'none.whl'} on the controller: No such file or directory"
    assert "requirements is empty" in empty
    assert "DO NOT MATCH THE HASHES" in refused
    assert nowhere == "python: there is no /nowhere/python3 on this host: install its package first"
    assert not list((tmp_path / "builds").glob("*/requirements.lock"))
    assert "Traceback" not in run.output
