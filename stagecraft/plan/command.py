"""`stagecraft plan`: what would change, in the form that is asked for."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from stagecraft import playbooks
from stagecraft.declarations import declared
from stagecraft.delivery.comment import publish
from stagecraft.lock import alone
from stagecraft.options import At, Extra, StageName
from stagecraft.plan import make, markdown, model, page, saved, terminal
from stagecraft.stages import Refused, Stage, stage
from stagecraft.target import Where, target_of
from stagecraft.topology.files import svg
from stagecraft.verdict import SOMETHING, errors


class Form(StrEnum):
    """How the report is written."""

    TERMINAL = "terminal"
    JSON = "json"
    MARKDOWN = "markdown"


def command(
    name: StageName = "",
    where: At = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, with every value in full.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print it for a merge request.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write it as one HTML page, too.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Keep it for `stagecraft apply --plan`.")] = None,
    comment: Annotated[
        Path | None, typer.Option("--comment", help="Write it to this file, and on the merge request of this pipeline.")
    ] = None,
    cloud: Annotated[bool, typer.Option("--cloud", help="Only the cloud's side: no machine is asked.")] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Go through machines, too, that are as the last run left them.")
    ] = False,
    extra_vars: Extra = None,
) -> None:
    """Say what would change in the cloud and on machines; change nothing. Exit code 0: nothing; 2: something; 1: error."""
    with errors():
        if as_json and as_markdown:
            raise Refused("Say --json or --markdown, not both.")
        if cloud and thorough:
            raise Refused("Say --cloud or --thorough, not both: no machine is asked, or all are.")
        plan = made(declared(name), where, extra_vars or [], cloud_only=cloud, thorough=thorough)
        if out:
            saved.write(plan, out)
        if html:
            page.write(plan, html, picture(stage(name)))
    printed(plan, Form.JSON if as_json else Form.MARKDOWN if as_markdown else Form.TERMINAL)
    if comment:
        typer.echo(publish(name, markdown.written(plan), comment), err=True)
    raise SystemExit(0 if plan.empty else SOMETHING)


def made(chosen: Stage, where: Where | None, extra: list[str], *, cloud_only: bool, thorough: bool) -> model.Plan:
    """The plan of a stage; what goes on meanwhile is said on standard error. Raises Refused."""
    variables = playbooks.known_variables(extra)
    console = Console(stderr=True, highlight=False)
    with alone(chosen, "plan"):
        target = target_of(chosen, where)
        made_from = make.origin(target, variables, cloud_only=cloud_only, thorough=thorough)
        console.print(f"[bold]{chosen.name}[/] in {target.where}, folder {escape(made_from.folder) or '(none set)'}")
        return make.make(made_from, target, console)


def picture(chosen: Stage) -> str:
    """The stage's picture for the page; where it cannot be drawn, nothing, and why on standard error."""
    try:
        return svg(chosen)
    except Refused as refused:
        typer.echo(f"the page has no picture: {refused}", err=True)
        return ""


def printed(plan: model.Plan, form: Form) -> None:
    """Write the report to standard output."""
    match form:
        case Form.JSON:
            typer.echo(json.dumps(plan.to_json(), indent=2, default=str))
        case Form.MARKDOWN:
            typer.echo(markdown.written(plan), nl=False)
        case Form.TERMINAL:
            terminal.show(plan, Console(highlight=False))
