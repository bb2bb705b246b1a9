"""`stagecraft drift`: what was changed behind the back of a stage's declarations."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from stagecraft import declarations, playbooks
from stagecraft.drift import model, report
from stagecraft.lock import alone
from stagecraft.options import At, Extra, StageName
from stagecraft.plan.make import ONLY_CLOUD, commit
from stagecraft.stages import ROOT, Refused, stage
from stagecraft.target import target_of

PLAYBOOK = ROOT / "playbooks" / "drift.yml"
SOMETHING = 2  # the exit code where something differs


def command(
    name: StageName = "",
    where: At = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    cloud: Annotated[bool, typer.Option("--cloud", help="Only the cloud's side: no machine is asked.")] = False,
    extra_vars: Extra = None,
) -> None:
    """Say what was changed outside since the last apply; change nothing. Exit code 0: nothing; 2: something; 1: error."""
    chosen, variables = stage(name), playbooks.known_variables(extra_vars or [])
    declarations.check(chosen)
    errors = Console(stderr=True, highlight=False)
    with alone(chosen, "drift"):
        target = target_of(chosen, where)
        errors.print(f"[bold]{name}[/] in {target.where}")
        outcome = playbooks.run(target, PLAYBOOK, errors, variables, ONLY_CLOUD if cloud else "", quietly=True)
    if "drift" not in outcome.told:
        raise Refused(f"{name}: the playbook has said nothing of drift; its log: {outcome.log}")
    found = model.of_playbook(name, outcome.told["drift"], commit())
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, default=str))
    else:
        report.show(found, Console(highlight=False))
    raise SystemExit(SOMETHING if found.differences else 0)
