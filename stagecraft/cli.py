"""The command line. Every target of the Makefile is an alias of a command here."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from rehearsal import environment
from rehearsal.world import WorldError
from stagecraft import __version__, playbooks, rotation, testing
from stagecraft import rehearse as rehearsals
from stagecraft.stages import ROOT, Refused, names, stage
from stagecraft.target import Target, target_of

app = typer.Typer(
    help="Take an AI application from MVP to production: rehearse, build, check and take down its stages.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
console = Console(highlight=False)

StageName = Annotated[str, typer.Argument(help="The stage: an inventory under inventories/.", show_default=False)]
What = Annotated[str, typer.Argument(help="What its `rotations` declare, such as ca; or all.", show_default=False)]
Where = Annotated[str | None, typer.Option(help="rehearsal or cloud; by default the rehearsal if one is up.")]


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
    line, as_promised = rehearsals.rehearse(stage(name), console)
    console.print(line, soft_wrap=True)
    raise SystemExit(0 if as_promised else 1)


@app.command()
def apply(name: StageName = "", where: Where = None, check: bool = False, diff: bool = False) -> None:
    """Build or converge a stage; with --check only say what would change."""
    target = target_of(stage(name), where)
    announce(target)
    arguments = " ".join(flag for flag, on in (("--check", check), ("--diff", diff)) if on)
    outcome = playbooks.run(target, target.stage.playbook, console, arguments=arguments)
    console.print(
        f"{name}: {'would change' if check else 'changed'} {outcome.changed} in {outcome.seconds:.0f}s,"
        f" {len(outcome.hosts)} hosts"
    )


@app.command()
def verify(name: StageName = "", where: Where = None) -> None:
    """Check a stage by talking to it."""
    target = target_of(stage(name), where)
    announce(target)
    outcome = playbooks.run(target, ROOT / "playbooks" / "verify.yml", console)
    passed, _ = rehearsals.checks(target)
    console.print(f"{name}: {passed} checks passed in {outcome.seconds:.0f}s")


@app.command()
def destroy(name: StageName = "", where: Where = None, confirm: str = "") -> None:
    """Take a stage down, data included, and prove that nothing is left."""
    if where != "cloud" and rehearsals.nothing_is_there(stage(name)):
        console.print(f"{name}: destroyed in 0s, 0 resources left, 0 containers left")
        return
    target = target_of(stage(name), where)
    announce(target)
    if target.rehearsed:
        confirm = name  # naming it on the command line is enough for a rehearsal
    elif not confirm and sys.stdin.isatty():
        confirm = typer.prompt(f"This deletes {name} and its data in the real cloud. Type its name to go on")
    if confirm != name:
        raise Refused(f"Not destroyed: say --confirm {name} to delete the stage and its data in {target.where}.", 2)
    console.print(rehearsals.destroy(target.stage, target, console, confirm), soft_wrap=True)


@app.command()
def rotate(name: StageName = "", what: What = "", where: Where = None) -> None:
    """Make secrets anew without a failed request: `rotate partners ca`. Run the same again after an interruption."""
    rotation.check(stage(name), what)
    target = target_of(stage(name), where)
    announce(target)
    steps, seconds = rotation.rotate(target, what, console)
    console.print(f"{name}: {what} rotated in {seconds:.0f}s, {steps} {'step' if steps == 1 else 'steps'}")


@app.command()
def down(name: StageName = "") -> None:
    """Remove a rehearsal, even a broken one: containers, namespaces, processes, mounts. The cache stays."""
    raise SystemExit(subprocess.run([sys.executable, "-m", "rehearsal", "down", stage(name).name]).returncode)


@app.command()
def status(name: StageName = "") -> None:
    """What a rehearsal consists of now, and what was asked of its cloud."""
    raise SystemExit(subprocess.run([sys.executable, "-m", "rehearsal", "status", stage(name).name]).returncode)


@app.command(context_settings={"ignore_unknown_options": True})
def shell(
    name: StageName, host: str, command: Annotated[list[str] | None, typer.Argument()] = None, where: Where = None
) -> None:
    """Open a shell on a machine of a stage, or run a command there. Without a stage: of the one that is rehearsed."""
    rehearsed = [one for one in names() if environment.is_up(one)]
    name = name or (rehearsed[0] if len(rehearsed) == 1 else "")
    target = target_of(stage(name), where)
    if not host:
        raise Refused("Which machine? Say HOST=<machine>, such as HOST=backend-1.", 2)
    config = target.folder / "ssh_config"
    if not config.exists():
        raise Refused(f"{name} has no machines that answer yet ({config} is not there). Build it first.")
    with target.inside():
        raise SystemExit(subprocess.run(["ssh", "-F", str(config), host, *(command or [])]).returncode)


@app.command()
def test(fast: bool = False, only: Annotated[str, typer.Option(help="One suite, by name.")] = "") -> None:
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
def chaos(
    name: StageName = "",
    faults: Annotated[int, typer.Option(help="Injected faults of the cloud's API.")] = 1000,
    kills: Annotated[int, typer.Option(help="Moments of kill -9.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Repeat an earlier run; else a new one is drawn.")] = None,
    machines: Annotated[bool, typer.Option(help="Kill in a whole rehearsal with machines instead (root).")] = False,
    within: Annotated[float, typer.Option(help="With --machines: seconds of a run in which a kill falls.")] = 90,
) -> None:
    """Disturb the building of a stage with faults and kills; it must converge, with nothing twice and nothing left."""
    chosen = stage(name)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported: it would write to standard error
    from stagecraft import chaos as drills  # here, because gRPC would make every other command start later
    from stagecraft import chaos_machines

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    seed = secrets.randbelow(1 << 32) if seed is None else seed
    say(f"seed {seed}: --seed {seed} repeats it")
    if machines:
        say(chaos_machines.kills(chosen, kills, seed, within, console))
    else:
        drills.run(chosen, faults_wanted=faults, kills_wanted=kills, seed=seed, say=say)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


def main() -> None:
    """Entry point: errors that a person can mend become one message, never a traceback."""
    try:
        app()
    except WorldError as broken:
        Console(stderr=True, highlight=False).print(f"[bold red]error:[/] {escape(str(broken))}", soft_wrap=True)
        raise SystemExit(1) from None
    except Refused as refused:
        Console(stderr=True, highlight=False).print(f"[bold red]error:[/] {escape(str(refused))}", soft_wrap=True)
        raise SystemExit(refused.code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
