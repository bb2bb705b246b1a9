"""The command `rehearsal`: start, look at and end an emulated cloud with real machines behind it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Annotated

import typer

from rehearsal import environment, files, lifecycle, report
from rehearsal.cloud import admin
from rehearsal.serverless import control
from rehearsal.world import WorldError

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
Name = Annotated[str, typer.Argument(help="Name of the rehearsal: the stage's name.")]


@app.command()
def up(
    name: Name,
    machines: Annotated[
        bool, typer.Option(help="Without machines: the cloud's API alone, on 127.0.0.1, no root.")
    ] = True,
) -> None:
    """Start a rehearsal, or what has died of one."""
    place = lifecycle.place_of(name)
    lifecycle.up(place, machines=machines, progress=lambda line: print(f"{name}: {line}", flush=True))
    print(f"{name}: up. Variables: rehearsal env {name}")


@app.command()
def down(name: Name) -> None:
    """Remove a rehearsal, even a broken one; the cache of images and packages stays."""
    removed = lifecycle.down(lifecycle.place_of(name))
    print(f"{name}: removed " + ", ".join(f"{count} {kind}" for kind, count in removed.items()) + "; nothing is left")


@app.command()
def status(name: Name) -> None:
    """What runs, and what was asked of the cloud."""
    for line in report.lines(lifecycle.place_of(name)):
        print(line)


@app.command()
def quota(
    name: Name,
    which: Annotated[str, typer.Argument(help="Such as compute.instances.count; without it all are listed.")] = "",
    limit: Annotated[int | None, typer.Argument(help="The new limit; sizes are in bytes.")] = None,
) -> None:
    """The cloud's quotas: limits, usage, and a new limit, as its support would grant one."""
    folder = lifecycle.place_of(name).cloud
    try:
        if limit is not None:
            admin.ask(folder, "quotas.set", name=which, limit=limit)
        rows = [row for row in admin.ask(folder, "quotas.list") if which in ("", row["name"])]
    except admin.AdminError as error:
        raise WorldError(f"{name}: {error}") from None
    if not rows:
        raise WorldError(f"{which!r} is no quota of the emulated cloud; `rehearsal quota {name}` lists them")
    for row in rows:
        print(f"{row['name']:<36} {row['usage']:>14} of {'any' if row['limit'] is None else row['limit']}")


@app.command()
def grant(name: Name, role: Annotated[str, typer.Argument(help="Such as admin.")]) -> None:
    """Give the account of the playbooks a role on the whole cloud, as its owner would."""
    try:
        admin.ask(lifecycle.place_of(name).cloud, "roles.grant", role=role)
    except admin.AdminError as error:
        raise WorldError(f"{name}: {error}") from None
    print(f"{name}: the account of the playbooks has {role} on the cloud")


@app.command()
def serverless(
    name: Name,
    idle: Annotated[
        float | None, typer.Option(min=0, help="Seconds without a request after which an instance goes; kept.")
    ] = None,
) -> None:
    """Instances of serverless containers by revision, and how long they stay without a request."""
    place = lifecycle.place_of(name)
    if idle is not None:
        control.ask(place, "idle", seconds=idle)
    told = control.ask(place, "status")
    print(f"an instance goes after {told['idle']:g} s without a request")
    for revision, count in told["revisions"].items():
        print(f"{revision:<24} {count['instances']} instances, {count['starting']} starting")


@app.command()
def env(name: Name, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The variables that point programs at the rehearsal, ready for `eval`."""
    variables = environment.environment(lifecycle.place_of(name).name)
    if as_json:
        print(json.dumps(variables, indent=1))
    else:
        for key, value in sorted(variables.items()):
            print(f"export {key}={shlex.quote(value)}")


@app.command(context_settings={"ignore_unknown_options": True})
def shell(name: Name, command: Annotated[list[str] | None, typer.Argument(help="Instead of a shell.")] = None) -> None:
    """A shell, or a command, inside the rehearsal's internet with its variables set."""
    variables = environment.environment(lifecycle.place_of(name).name)
    if namespace := environment.netns(name):
        try:
            with namespace.open() as there:
                os.setns(there.fileno(), os.CLONE_NEWNET)
        except OSError as error:
            raise WorldError(
                f"{name}: cannot enter its network ({error}): run it as root, after rehearsal up {name}"
            ) from None
    words = command or [os.environ.get("SHELL", "/bin/sh")]
    os.execvpe(words[0], words, {**os.environ, **variables})  # noqa: S606 - running what the person names is the point


def main() -> None:
    """Run the command; what went wrong is one message, not a traceback."""
    try:
        app()
    except WorldError as error:
        sys.exit(f"rehearsal: {error}")
    except OSError as error:
        sys.exit(f"rehearsal: {files.explained(error)}")
