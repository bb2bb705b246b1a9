"""The stage mvp accepted by its one command: in a folder of its own, from nothing to nothing, with a signed report."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, a_machine_of_our_own, stagecraft

from rehearsal import lifecycle
from rehearsal.places import Place

pytestmark = [pytest.mark.root, pytest.mark.slow]
STAGE = "mvp"


@pytest.fixture(scope="module", autouse=True)
def _a_machine_of_our_own(tmp_path_factory):
    yield from a_machine_of_our_own(STAGE, tmp_path_factory.mktemp("state"))


def test_a_stage_is_built_verified_and_taken_down_in_a_folder_of_its_own(tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for words in (("up", STAGE), ("grant", STAGE, "admin")):
        subprocess.run([sys.executable, "-m", "rehearsal", *words], cwd=ROOT, check=True, timeout=300)
    asked = (
        "accept",
        STAGE,
        "--where",
        "rehearsal",
        "--confirm",
        STAGE,
        "--key",
        str(key),
        "--to",
        str(tmp_path / "r.md"),
    )
    last = stagecraft(*asked).strip().splitlines()[-1]
    assert re.fullmatch(r"mvp: accepted in \d+s, (\d+) checks passed, 0 resources left, its folder is gone", last), last
    report = Path(tmp_path / "r.md")
    assert str(Path.home()) not in report.read_text()
    assert stagecraft("accept", "--verify", str(report))
    report.write_text(report.read_text().replace("accepted", "Accepted", 1))
    changed = [sys.executable, "-m", "stagecraft", "accept", "--verify", str(report)]
    assert subprocess.run(changed, cwd=ROOT, capture_output=True, check=False).returncode != 0
    assert lifecycle.leftovers(Place(STAGE)) != {}, "the rehearsal itself stands until its own end"
