"""The lint job of the real pipeline on a copy of this checkout: it names what is wrong and fails, or passes."""

from __future__ import annotations

import re

import pytest
from gitlab_ci import commit

from stagecraft import testing

VERDICT = re.compile(r"^lint > (ok|FAILED) (\S+)", re.MULTILINE)


@pytest.mark.slow
def test_one_mistake_fails_the_job_and_is_named(checkout, pipeline):
    broken = checkout / "stagecraft" / "version_of_nothing.py"
    broken.write_text('"""Imports what it does not use."""\n\nimport os\n')
    commit(checkout)
    done = pipeline("lint")
    verdicts = {suite: verdict for verdict, suite in VERDICT.findall(done.output)}
    checks = {suite.name for suite in testing.suites() if suite.fast and not suite.counts}
    assert verdicts == dict.fromkeys(checks, "ok") | {"ruff": "FAILED"}, done.output
    assert "version_of_nothing.py" in done.output and "F401" in done.output
    assert done.code == 1 and done.results == {"lint": "FAIL"}
    logs = checkout / ".gitlab-ci-local" / "artifacts" / "lint" / "build" / "state" / "tests"
    assert "F401" in (logs / "ruff.log").read_text()  # handed on, whatever became of the job


@pytest.mark.slow
def test_a_checkout_without_a_mistake_passes(checkout, pipeline):
    """With the quickest of the checks: that the others pass too, `make test-fast` says."""
    makefile = checkout / "Makefile"
    quick = makefile.read_text().replace("test --fast --only checks", "test --fast --only ruff")
    assert quick != makefile.read_text()
    makefile.write_text(quick)
    commit(checkout)
    done = pipeline("lint")
    assert done.code == 0 and done.results == {"lint": "PASS"}, done.output
    assert VERDICT.findall(done.output) == [("ok", "ruff")] and "1 passed, 0 failed" in done.output
