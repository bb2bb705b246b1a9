"""Drift as a person and a timer meet it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from test_command import run

from stagecraft.drift import report, watch
from stagecraft.drift.model import Difference, Drift, of_playbook
from stagecraft.stages import Refused, Stage
from stagecraft.target import Target

SINCE = "2026-11-23T17:59:33Z"
ROW = {"kind": "vpc_subnet", "name": "a", "what": "changed", "field": "cidr", "old": "x", "new": "y", "since": SINCE,
       "by": "aje1", "left": False}  # fmt: skip
MACHINE = {"kind": "user", "name": "alice\x1b[2J", "what": "new", "field": "", "old": None, "new": None, "since": ""}
TOLD = {
    "cloud": [ROW],
    "machines": {
        "edge-1": {"recorded": SINCE, "drift": [MACHINE], "ignored": 2},
        "edge-2": {"recorded": "", "drift": [], "ignored": 0},
        "edge-3": {"unreachable": True, "msg": "no route"},
    },
    "ignored": 1,
    "applied": SINCE,
    "by": {"commit": "a" * 40},
}


def shown(drift: Drift) -> str:
    out = io.StringIO()
    report.show(drift, Console(file=out, width=60))
    return out.getvalue()


def test_what_differs_is_said_with_since_when_and_whether_a_run_leaves_it():
    lines = shown(of_playbook("partners", TOLD, "a" * 40)).splitlines()
    assert lines[:4] == [
        "cloud",
        f"  ~ vpc_subnet a cidr: x → y (since {SINCE}, by aje1)",
        "edge-1",
        r"  + user alice\x1b[2J: is new (not declared, so a run leaves it)",
    ]
    assert "? edge-2: nothing was recorded of it yet; the next apply does" in lines and "? edge-3: no route" in lines
    assert lines[-1] == f"partners: 2 differ from what was applied at {SINCE}, 3 ignored"
    assert not [line for line in lines if "edited" in line]


def test_declarations_of_another_commit_are_told_apart():
    assert "stagecraft plan partners says what they change" in shown(of_playbook("partners", TOLD, "b" * 40))
    nothing = shown(Drift("partners", SINCE, "", False, (Difference("cloud", "x", "y", "gone"),)))
    assert nothing.splitlines()[-1] == f"partners: 1 differs from what was applied at {SINCE}, 0 ignored"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--export", "--cloud"), "--cloud asks none"),
        (("--watch", "often"), "say how often"),
        (("--watch", "2h", "-e", "drift_ignored=x"), "--watch looks at all"),
        (("--json", "--wach", "6h"), "No such option"),
    ],
)
def test_a_wrong_command_line_is_an_error_and_no_difference(tmp_path, words, says):
    done = run(tmp_path, "drift", "partners", *words, YC_SERVICE_ACCOUNT_KEY_FILE="/nowhere", YC_FOLDER_ID="b1g")
    assert done.returncode == 1 and says in done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs Debian's package systemd")
def test_the_timer_is_one_that_systemd_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("YC_FOLDER_ID", "b1g")
    target = Target(Stage("partners"), False)
    environment = tmp_path / "watch.env"
    environment.write_text("".join(f"{key}={value}\n" for key, value in watch.variables(target).items()))
    for kind, text in watch.written(target, "6h", environment).items():
        (tmp_path / f"{watch.unit(target)}.{kind}").write_text(text)
    units = sorted(str(path) for path in tmp_path.glob("stagecraft-*"))
    seen = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert not [line for line in seen.stderr.splitlines() if "stagecraft-drift" in line], seen.stderr
    assert "YC_FOLDER_ID=b1g\n" in environment.read_text()


def test_a_token_that_ends_is_refused(monkeypatch):
    for name in list(os.environ):
        if name.startswith("YC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("YC_IAM_TOKEN", "t1.secret")
    with pytest.raises(Refused, match="YC_IAM_TOKEN ends within hours") as error:
        watch.variables(Target(Stage("partners"), False))
    assert "t1.secret" not in str(error.value)


def test_a_watch_is_begun_and_ended(tmp_path, monkeypatch):
    """With a systemctl that only writes down what it was told: no timer of this machine is touched."""
    told = tmp_path / "told"
    fake = tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("YC_SERVICE_ACCOUNT_KEY_FILE", "key.json")
    monkeypatch.setattr(watch, "BOOTED", tmp_path)
    monkeypatch.setattr(watch, "SYSTEM", tmp_path / "units")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    target = Target(Stage("partners"), False)
    assert "watched every 6h" in watch.watch(target, "6h")
    assert {path.suffix for path in watch.unit_folder().iterdir()} == {".service", ".timer"}
    kept = target.folder / "watch.env"
    assert kept.stat().st_mode & 0o777 == 0o600 and f"KEY_FILE={Path.cwd()}/key.json\n" in kept.read_text()
    assert "no longer watched" in watch.watch(target, watch.OFF)
    assert list(watch.unit_folder().iterdir()) == [] and not kept.exists()
    assert [line.split()[-2:] for line in told.read_text().splitlines() if "able" in line] == [
        ["--now", "stagecraft-drift-partners.timer"]
    ] * 2


@pytest.mark.parametrize("every", ["13h", "1d", "721min", "0h", ""])
def test_a_watch_that_the_alert_would_be_quicker_than_is_refused(every):
    with pytest.raises(Refused, match="at most 12h"):
        watch.watch(Target(Stage("partners"), False), every)


def test_services_that_may_not_be_asked_are_said():
    told = TOLD | {"not_asked": {"kms_symmetric_key": "PERMISSION_DENIED", "gitlab_instance": "UNIMPLEMENTED"}}
    lines = shown(of_playbook("partners", told, "a" * 40)).splitlines()
    assert "? kms_symmetric_key: its service may not be asked" in lines and "gitlab" not in str(lines)
