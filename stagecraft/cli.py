"""The command line. Every target of the Makefile is an alias of a command here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from rehearsal import environment, files, places
from rehearsal.world import WorldError
from stagecraft import __version__, playbooks, rolling, rotation, supervision, testing, verification
from stagecraft.accept.command import command as accept
from stagecraft.chaos_command import command as chaos
from stagecraft.confirmation import confirmed
from stagecraft.cost import command as prices
from stagecraft.declarations import declared
from stagecraft.delivery import declared as delivered
from stagecraft.delivery.files import command as ci
from stagecraft.demo import command as demo
from stagecraft.drift.command import command as drift
from stagecraft.export import command as export
from stagecraft.image import command as image
from stagecraft.lock import alone
from stagecraft.options import At, Confirm, Extra, Machine, PlanFile, StageName, What
from stagecraft.plan import make, saved
from stagecraft.plan.command import command as planning
from stagecraft.schema.files import command as schema
from stagecraft.stages import ROOT, Refused, names, stage, unknown
from stagecraft.target import Target, Where, rehearsal_of, target_of
from stagecraft.topology.files import command as topology
from stagecraft.verdict import Verdict

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command("accept")(accept)
app.command("schema")(schema)
app.command("topology")(topology)
app.command("chaos")(chaos)
app.command("demo")(demo)
app.command("ci")(ci)
app.command("image")(image)
app.command("export")(export)
app.command("plan", cls=Verdict)(planning)
app.command("drift", cls=Verdict)(drift)
app.command("cost")(prices.cost)
app.add_typer(prices.app, name="prices")
console = Console(highlight=False)

HOST = re.compile(r"^Host ([^*?!\s]+)", re.MULTILINE)  # machines in an ssh_config; `Host *` is none


def print_version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take an AI application from MVP to production: rehearse, build, check and take down its stages."""


def announce(target: Target) -> None:
    """Every run says which stage it acts on, and where."""
    folder = target.environment().get("YC_FOLDER_ID", "")
    console.print(f"[bold]{target.stage.name}[/] in {target.where}, folder {escape(folder) or '(none set)'}")


@app.command()
def stages() -> None:
    """List the stages of this checkout."""
    for name in names():
        console.print(name)


@app.command()
def rehearse(name: StageName = "") -> None:
    """Build a stage on this machine, check it, build it again, and say what was seen."""
    from stagecraft import rehearse as rehearsals  # here, because it would make every other command start later

    chosen = declared(name)
    with alone(chosen, "rehearse"):
        line, as_promised = rehearsals.rehearse(chosen, console)
    console.print(line, soft_wrap=True)
    raise SystemExit(0 if as_promised else 1)


@app.command()
def apply(
    name: StageName = "",
    where: At = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing: only say what would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write to the log how each file and resource changes.")] = False,
    plan: PlanFile = None,
    cloud: Annotated[bool, typer.Option("--cloud", help="Only the cloud's side: no machine is asked.")] = False,
    extra_vars: Extra = None,
) -> None:
    """Build or converge a stage; with --check only say what would change."""
    chosen, variables = declared(name), playbooks.known_variables(extra_vars or [])
    planned = saved.applicable(plan, variables, alone=not (check or cloud)) if plan else None
    with alone(chosen, "apply"):
        target = target_of(chosen, where)
        announce(target)
        flags = (("--check", check), ("--diff", diff), (make.ONLY_CLOUD, cloud))
        arguments = " ".join(flag for flag, on in flags if on)
        if planned:
            variables, limit = saved.still_true(planned, target, console)
            arguments = f"{arguments} {limit}"
        outcome = playbooks.run(target, target.stage.playbook, console, variables, arguments)
    console.print(
        f"{name}: {'would change' if check else 'changed'} {outcome.changed} in {outcome.seconds:.0f}s,"
        f" {len(outcome.hosts)} hosts"
    )


@app.command()
def verify(name: StageName = "", where: At = None) -> None:
    """Check a stage by talking to it."""
    chosen = declared(name)
    with alone(chosen, "verify"):
        target = target_of(chosen, where)
        announce(target)
        outcome, passed = verification.verify(target, console)
    console.print(f"{name}: {passed} checks passed in {outcome.seconds:.0f}s")


@app.command()
def destroy(
    name: StageName = "",
    where: At = None,
    confirm: Confirm = "",
) -> None:
    """Take a stage down, data included, and prove that nothing is left."""
    from stagecraft import rehearse as rehearsals  # here, because it would make every other command start later

    chosen = declared(name)
    if where is not Where.CLOUD and rehearsals.nothing_is_there(chosen):
        console.print(f"{name}: destroyed in 0s, 0 resources left, 0 containers left")
        return
    with alone(chosen, "destroy"):
        target = target_of(chosen, where)
        announce(target)
        confirmed(target, confirm, "deletes the stage and its data")
        console.print(rehearsals.destroy(chosen, target, console, name), soft_wrap=True)


@app.command()
def rotate(name: StageName = "", what: What = "", where: At = None) -> None:
    """Make secrets anew without a failed request: `rotate partners ca`. Run the same again after an interruption."""
    chosen = declared(name)
    rotation.check(chosen, what)
    with alone(chosen, "rotate"):
        target = target_of(chosen, where)
        announce(target)
        steps, seconds = rotation.rotate(target, what, console)
    console.print(f"{name}: {what} rotated in {seconds:.0f}s, {steps} {'step' if steps == 1 else 'steps'}")


@app.command()
def roll(
    name: StageName = "",
    what: Annotated[str, typer.Argument(help="A role or a machine, such as backend.", show_default=False)] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Make a new machine in the place of each.")] = False,
    where: At = None,
    confirm: Confirm = "",
) -> None:
    """Stop, change and start machines as declared, or replace them, one at a time while the others serve."""
    chosen = declared(name)
    machines = rolling.machines(chosen, what)
    with alone(chosen, "roll"):
        target = target_of(chosen, where)
        announce(target)
        if replace:
            confirmed(target, confirm, f"deletes {', '.join(machines)} with their boot disks, one after the other")
        rolled, seconds = rolling.roll(target, machines, replace, console)
    console.print(f"{name}: {what} rolled in {seconds:.0f}s, {len(rolled)} of {len(machines)} machines changed")


@app.command()
def rollback(name: StageName = "", where: At = None, extra_vars: Extra = None) -> None:
    """Go back to what served before the last deployment."""
    chosen, variables = declared(name), playbooks.extra_variables(extra_vars or [])
    playbook = delivered.way_back(chosen)
    with alone(chosen, "rollback"):
        target = target_of(chosen, where)
        announce(target)
        outcome = playbooks.run(target, playbook, console, variables)
    console.print(f"{name}: rolled back in {outcome.seconds:.0f}s, changed {outcome.changed}")


@app.command()
def down(name: StageName = "") -> None:
    """Remove a rehearsal, even a broken one: containers, namespaces, processes, mounts. The cache stays."""
    chosen = stage(name)
    with alone(chosen, "down"):
        raise SystemExit(subprocess.run([sys.executable, "-m", "rehearsal", "down", chosen.name]).returncode)


@app.command()
def status(name: StageName = "") -> None:
    """What a rehearsal consists of now, what was asked of its cloud, and where it answers."""
    from stagecraft import rehearse as rehearsals  # here, because it would make every other command start later

    chosen = stage(name)
    code = subprocess.run([sys.executable, "-m", "rehearsal", "status", chosen.name]).returncode
    if not code and environment.is_up(chosen.name):
        rehearsals.where_it_answers(rehearsal_of(chosen), console)
    raise SystemExit(code)


@app.command(context_settings={"ignore_unknown_options": True})
def shell(
    name: Annotated[str, typer.Argument(help="The stage; '' means the one that is rehearsed.")],
    host: Machine,
    command: Annotated[list[str] | None, typer.Argument(help="A command to run there instead of a shell.")] = None,
    where: At = None,
) -> None:
    """Open a shell on a machine of a stage, or run a command there."""
    rehearsed = [one for one in names() if environment.is_up(one)]
    name = name or (rehearsed[0] if len(rehearsed) == 1 else "")
    target = target_of(stage(name), where)
    config = target.folder / "ssh_config"
    if not config.exists():
        raise Refused(f"{name} has no machines that answer yet ({config} is not there). Build it first.")
    hosts = sorted(set(HOST.findall(config.read_text())))
    if not host:
        raise Refused(f"Which machine? Say HOST=<machine>, one of {', '.join(hosts)}.", 2)
    if host not in hosts:
        raise unknown(host, hosts, "machine")
    with target.inside():
        raise SystemExit(subprocess.run(["ssh", "-F", str(config), host, *(command or [])]).returncode)


@app.command()
def test(
    fast: Annotated[bool, typer.Option("--fast", help="Only the suites that need neither root nor machines.")] = False,
    only: Annotated[str, typer.Option(help="One suite by name; or all `checks` (lint, types), or all `tests`.")] = "",
) -> None:
    """Prove the project: lint, unit, contract, applications, roles, and the partners rehearsal."""
    raise SystemExit(testing.run(console, fast=fast, only=only))


@app.command()
def docs() -> None:
    """Build the documentation's site; a broken link fails it."""
    raise SystemExit(testing.run(console, fast=True, only="docs"))


@app.command()
def bench(only: Annotated[str, typer.Option(help="One figure, by name.")] = "") -> None:
    """Measure how fast the project is, as ratios, and write docs/benchmarks.md."""
    raise SystemExit(subprocess.run([sys.executable, "-m", "bench", *filter(None, [only])], cwd=ROOT).returncode)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


def main() -> None:
    """Entry point: errors that a person can mend become one message, never a traceback."""
    supervision.stop_by_signal()
    places.settle()
    try:
        app()
    except (WorldError, Refused) as error:
        message, code = str(error), getattr(error, "code", 1)
    except OSError as error:
        message, code = files.explained(error), 1
    else:
        return
    Console(stderr=True, highlight=False).print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    raise SystemExit(code)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
