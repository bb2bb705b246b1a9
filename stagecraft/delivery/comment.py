"""A plan as one comment on the request to merge whose pipeline this is: written once, then changed in place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal import files
from stagecraft import federation
from stagecraft.stages import Refused

TOKEN = "STAGECRAFT_COMMENT_TOKEN"  # noqa: S105 - the variable of GitLab's jobs; their own CI_JOB_TOKEN may not write notes
PAGE = 100  # comments of one answer
LONGEST = 60000  # characters: GitHub takes 65536, GitLab more
COMMAND = re.compile(r"^(\s*)/", re.MULTILINE)  # GitLab would do what such a line of a note says
BOT = "github-actions[bot]"  # who writes with GITHUB_TOKEN
HELP = "docs/delivery.md says what it has to be"


@dataclass(frozen=True)
class Place:
    """Where the comments of one request to merge are, and how one is changed there."""

    comments: str  # lists them, and takes a new one
    one: str  # with its id: changes it
    method: str
    headers: dict[str, str]
    token: str  # the variable that it comes from
    user: str = ""  # says who writes; where it is empty, GitHub's bot does


def publish(stage: str, report: str, file: Path) -> str:
    """Write the plan of a stage into `file`, and on the request to merge; returns what was done, in a line.

    Raises Refused where a token is given that may not write there; the file is written then, too."""
    files.write(file, report, mode=0o644)
    text = body(stage, report)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as page:
            page.write(text)
    found = here()
    if isinstance(found, str):
        return f"{file}: {found}"
    before = earlier(found, mark(stage))
    if before is None:
        ask(found, "POST", found.comments, json={"body": text})
        return f"{file}: written as a comment"
    ask(found, found.method, f"{found.one}/{before}", json={"body": text})
    return f"{file}: the comment has it now"


def mark(stage: str) -> str:
    """The first line of the comment, which nobody sees: it is found by that."""
    return f"<!-- stagecraft: plan of {stage} -->"


def body(stage: str, report: str) -> str:
    """What the comment says; a report that is too long is cut off, and says so."""
    text = COMMAND.sub(r"\1\\/", report)
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] + "\n\nThe rest is in the job's plan.md.\n"
    return f"{mark(stage)}\n{text}"


def here() -> Place | str:
    """Where this job's pipeline has its request to merge; why there is nothing to write to, where that is so."""
    env = os.environ.get
    if env("GITHUB_ACTIONS"):
        number = re.fullmatch(r"refs/pull/(\d+)/merge", env("GITHUB_REF", ""))
        if not number:
            return "no comment: this is no job of a pull request"
        if not env("GITHUB_TOKEN"):
            return "no comment: GITHUB_TOKEN is not set"
        issues = f"{env('GITHUB_API_URL')}/repos/{env('GITHUB_REPOSITORY')}/issues"
        headers = {"Authorization": f"Bearer {env('GITHUB_TOKEN')}", "Accept": "application/vnd.github+json"}
        return Place(f"{issues}/{number[1]}/comments", f"{issues}/comments", "PATCH", headers, "GITHUB_TOKEN")
    request = env("CI_MERGE_REQUEST_IID")
    if not request:
        return "no comment: this is no job of a merge request"
    if not env(TOKEN):
        return f"no comment: {TOKEN} is not set ({HELP})"
    api = env("CI_API_V4_URL", "")
    notes = f"{api}/projects/{env('CI_MERGE_REQUEST_PROJECT_ID')}/merge_requests/{request}/notes"
    return Place(notes, notes, "PUT", {"PRIVATE-TOKEN": env(TOKEN, "")}, TOKEN, f"{api}/user")


def earlier(place: Place, marked: str) -> int | None:
    """The id of the comment of that mark which whose token this is has written; None where there is none."""
    who = ask(place, "GET", place.user)["username"] if place.user else BOT
    for comment in everything(place):
        author = comment.get("author") or comment.get("user") or {}
        if who in (author.get("username"), author.get("login")) and comment["body"].startswith(marked):
            return int(comment["id"])
    return None


def everything(place: Place) -> Iterator[dict[str, Any]]:
    page, full = 0, True
    while full:
        page += 1
        found = ask(place, "GET", place.comments, params={"per_page": PAGE, "page": page})
        yield from found
        full = len(found) == PAGE


def ask(place: Place, method: str, url: str, **options: Any) -> Any:
    """The JSON of an answer. Raises Refused, without the token, where it is an error."""
    trusted = os.environ.get("CI_SERVER_TLS_CA_FILE") or True  # of a GitLab with a certificate of its own
    answer = federation.request(method, url, trusted, headers=place.headers, **options)
    try:
        told = answer.json()
    except ValueError:
        told = None
    if answer.is_success and told is not None:
        return told
    why = told.get("message") or told.get("error") if isinstance(told, dict) else "no JSON"
    raise Refused(
        f"The plan is no comment: {method} {url} answered {answer.status_code}: {why}. Is {place.token} right? {HELP}."
    )
