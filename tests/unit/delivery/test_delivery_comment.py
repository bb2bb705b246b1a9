"""A plan on the request to merge: one comment, changed in place, by real HTTP; and what is said where there is none."""

from __future__ import annotations

import pytest
from merge_request import MergeRequest

from stagecraft.delivery import comment
from stagecraft.stages import Refused

REPORT = "## Plan of mvp\n\nmvp: {} to create\n"
FORGES = ("gitlab", "github")


@pytest.fixture
def request_to_merge(monkeypatch):
    server = MergeRequest()
    for name in (*server.gitlab(), *server.github(), "GITHUB_STEP_SUMMARY", "CI_SERVER_TLS_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.stop()


def job(monkeypatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("forge", FORGES)
def test_there_is_one_comment_a_stage_and_it_is_changed_in_place(request_to_merge, monkeypatch, tmp_path, forge):
    job(monkeypatch, getattr(request_to_merge, forge)())
    file = tmp_path / "plan.md"
    for _ in range(150):  # so that it is not among the first that are listed
        request_to_merge.write("somebody", "Looks good")
    forged = request_to_merge.write("somebody", f"{comment.mark('mvp')}\nNothing to see here")
    assert comment.publish("mvp", REPORT.format(1), file) == f"{file}: written as a comment"
    assert comment.publish("partners", REPORT.format(5), file) == f"{file}: written as a comment"
    assert comment.publish("mvp", REPORT.format(2), file) == f"{file}: the comment has it now"
    ours = [one["body"] for one in request_to_merge.comments if one["who"] != "somebody"]
    assert ours == [f"{comment.mark(stage)}\n{REPORT.format(n)}" for stage, n in (("mvp", 2), ("partners", 5))]
    assert file.read_text() == REPORT.format(2) and "Nothing to see" in forged["body"]


@pytest.mark.parametrize("forge", FORGES)
def test_a_wrong_token_is_refused_and_never_shown(request_to_merge, monkeypatch, tmp_path, forge):
    variables = getattr(request_to_merge, forge)("glpat-of-another")
    job(monkeypatch, variables)
    with pytest.raises(
        Refused, match=r"answered 401: 401 Unauthorized. Is [A-Z_]+_TOKEN right\? docs/delivery"
    ) as refused:
        comment.publish("mvp", REPORT, tmp_path / "plan.md")
    assert "glpat" not in str(refused.value) and refused.value.code == 1
    assert request_to_merge.comments == [] and (tmp_path / "plan.md").read_text() == REPORT


@pytest.mark.parametrize(("forge", "without", "says"), [
    ("gitlab", "STAGECRAFT_COMMENT_TOKEN", "STAGECRAFT_COMMENT_TOKEN is not set"),
    ("gitlab", "CI_MERGE_REQUEST_IID", "this is no job of a merge request"),
    ("github", "GITHUB_TOKEN", "GITHUB_TOKEN is not set"),
    ("github", "GITHUB_REF", "this is no job of a pull request"),
])  # fmt: skip
def test_without_a_token_or_a_request_the_file_is_all(request_to_merge, monkeypatch, tmp_path, forge, without, says):
    variables = getattr(request_to_merge, forge)()
    job(monkeypatch, {name: value for name, value in variables.items() if name != without})
    assert f"no comment: {says}" in comment.publish("mvp", REPORT, tmp_path / "plan.md")
    assert (tmp_path / "plan.md").read_text() == REPORT and request_to_merge.asked == []


def test_github_shows_it_with_the_job_too(request_to_merge, monkeypatch, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("What was there\n")
    job(monkeypatch, request_to_merge.github() | {"GITHUB_STEP_SUMMARY": str(summary)})
    comment.publish("mvp", REPORT, tmp_path / "plan.md")
    assert summary.read_text().startswith("What was there\n") and summary.read_text().endswith(REPORT)


def test_no_line_is_a_command_and_a_long_report_is_cut_at_a_line():
    assert comment.body("mvp", "a\n/merge\n  /close\nb/c\n") == f"{comment.mark('mvp')}\na\n\\/merge\n  \\/close\nb/c\n"
    long = comment.body("mvp", "- `vpc_network main`\n" * 10000)
    assert len(long) < 65536
    assert long.endswith("- `vpc_network main`\n\nThe rest is in the job's plan.md.\n")


def test_a_server_that_is_away_is_named(request_to_merge, monkeypatch, tmp_path):
    job(monkeypatch, request_to_merge.gitlab())
    request_to_merge.stop()
    with pytest.raises(Refused, match=r"http://127.0.0.1:\d+/api/v4/user does not answer: .*Run the job again"):
        comment.publish("mvp", REPORT, tmp_path / "plan.md")
