"""`stagecraft drift`: what was changed behind the back of a stage's declarations."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from stagecraft import playbooks
from stagecraft.declarations import declared
from stagecraft.drift import model, report, watch
from stagecraft.lock import alone
from stagecraft.options import At, Extra, StageName
from stagecraft.plan.make import ONLY_CLOUD, commit
from stagecraft.stages import ROOT, Refused, Stage
from stagecraft.target import Where, target_of
from stagecraft.verdict import ERROR, SOMETHING, errors

PLAYBOOK = ROOT / "playbooks" / "drift.yml"


def command(
    name: StageName = "",
    where: At = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    cloud: Annotated[bool, typer.Option("--cloud", help="Only the cloud's side: no machine is asked.")] = False,
    export: Annotated[
        bool, typer.Option("--export", help="Tell the stage's monitoring, whose alert StageDrifted then says it.")
    ] = False,
    every: Annotated[
        str, typer.Option("--watch", metavar="EVERY|off", help="Do that by a systemd timer: 30min, 6h; or no longer.")
    ] = "",
    extra_vars: Extra = None,
) -> None:
    """Say what was changed outside since the last apply; change nothing. Exit code 0: nothing; 2: something; 1: error."""
    with errors():
        found = looked(declared(name), where, extra_vars or [], cloud_only=cloud, export=export, every=every)
    if found is None:
        return
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, default=str))
    else:
        report.show(found, Console(highlight=False))
    raise SystemExit(SOMETHING if found.differences else ERROR if found.unknown else 0)


def looked(
    chosen: Stage, where: Where | None, extra: list[str], *, cloud_only: bool, export: bool, every: str
) -> model.Drift | None:
    """The drift of a stage; nothing where a timer is to look instead. Raises Refused."""
    if export and cloud_only:
        raise Refused("--export tells a machine of the stage, and --cloud asks none: leave one of them out.")
    if every and (extra or cloud_only):
        raise Refused("--watch looks at all of the stage as it is declared: it goes with neither -e nor --cloud.")
    told = watch.OFF if every == watch.OFF else "true" if export or every else ""
    variables = playbooks.known_variables(extra) | ({"drift_exported": told} if told else {})
    console = Console(stderr=True, highlight=False)
    with alone(chosen, "drift"):
        target = target_of(chosen, where)
        if every:
            watch.possible(target, every)
        console.print(f"[bold]{chosen.name}[/] in {target.where}")
        outcome = playbooks.run(target, PLAYBOOK, console, variables, ONLY_CLOUD if cloud_only else "", quietly=True)
        if every:  # that once it came through shows that it can
            console.print(watch.watch(target, every))
            return None
    if "drift" not in outcome.told:
        raise Refused(f"{chosen.name}: the playbook has said nothing of drift; its log: {outcome.log}")
    return model.of_playbook(chosen.name, outcome.told["drift"], commit())
