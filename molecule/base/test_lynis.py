"""What the auditor lynis says of the machine; docs/hardening.md gives the reason for whatever it finds open."""

import os
import re
from pathlib import Path

import pytest

HARDENING = Path(__file__).parents[2] / "docs" / "hardening.md"
LEAST = 70  # of 100; docs/hardening.md says what was measured


@pytest.fixture(scope="module")
def report(host) -> str:
    """lynis' report, kept beside the other results of the role tests."""
    host.check_output("apt-get install --yes --quiet --no-install-recommends lynis")
    host.run("lynis audit system --quick --quiet --no-colors")
    text = host.file("/var/log/lynis-report.dat").content_string
    name = host.backend.get_pytest_id().rpartition("://")[2]
    (Path(os.environ["STAGECRAFT_MOLECULE_STATE"]) / f"lynis-{name}.dat").write_text(text)
    return text


def test_the_score_does_not_fall(report):
    assert int(re.search(r"^hardening_index=(\d+)", report, re.MULTILINE).group(1)) >= LEAST


def test_what_stays_open_has_its_reason(report):
    found = re.findall(r"^(?:warning|suggestion)\[\]=([A-Z0-9-]+)\|", report, re.MULTILINE)
    reasons = re.findall(r"^\| `([A-Z0-9-]+)` \|", HARDENING.read_text(), re.MULTILINE)
    assert set(found) - set(reasons) == set()
