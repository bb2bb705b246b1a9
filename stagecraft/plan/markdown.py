"""A plan as Markdown, for a merge request."""

from __future__ import annotations

from collections.abc import Iterator

from stagecraft.plan import words
from stagecraft.plan.model import ACTIONS, Plan

TITLES = {"create": "To create", "change": "To change", "replace": "To replace", "delete": "To delete"}


def written(plan: Plan) -> str:
    """The whole report."""
    return "\n".join(lines(plan)) + "\n"


def lines(plan: Plan) -> Iterator[str]:
    origin = plan.origin
    yield f"## Plan of {origin.stage}\n"
    yield f"{plan.closing()}\n"
    yield f"{origin.where}, folder `{origin.folder}`, commit `{origin.commit[:12]}`\n"
    for line in words.remarks(plan):
        yield f"{plain(line)}\n"
    for action in ACTIONS.values():
        if found := [change for change in plan.changes if change.action == action]:
            yield f"### {TITLES[action]}\n"
            for change in found:
                yield f"- {code(change.item)}{f': {plain(change.why)}' if change.why else ''}"
                yield from (f"    - {code(line)}" for line in words.details(change))
            yield ""
    if plan.undeclared:
        yield "### Undeclared\n"
        yield from (f"- {code(item)}" for item in plan.undeclared)
        yield ""
    if plan.hosts:
        yield "### Machines\n"
        for host in plan.hosts:
            yield f"- {code(words.called(host))}"
            yield from (f"    - {code(line)}" for line in words.on_host(host))
        yield ""


def code(text: str) -> str:
    """Text as it is: fenced with more backticks than it has in a row."""
    text = words.visible(text)
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"


def plain(text: str) -> str:
    """Words in which nothing is markup."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in words.visible(text))
