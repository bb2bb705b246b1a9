"""A whole rehearsal: cloud and machines on this machine, the stage built, checked, built again, and summed up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rehearsal import files, forward, lifecycle, places, processes, wheelhouse
from stagecraft import playbooks, verification
from stagecraft.progress import clock
from stagecraft.stages import ROOT, Refused, Stage
from stagecraft.target import CREDENTIALS, Target, rehearsal_of

FORWARD = "api"  # the way in to the stage's public entry


@dataclass(frozen=True)
class Part:
    """One line of the summary."""

    name: str
    seconds: float
    said: str


def need_root() -> None:
    """Raises Refused where the machine cannot hold a rehearsal's machines."""
    if os.geteuid() != 0:
        raise Refused(
            "A rehearsal makes network namespaces and systemd containers, which needs root."
            " Run it with sudo (`sudo make rehearse STAGE=…`)."
        )


def step(
    console: Console, name: str, command: list[str], environment: dict[str, str] | None = None,
    *, code: int = 0, shown: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Part:  # fmt: skip
    """Run a program of ours and pass its lines on, indented: those that `shown` lets through. Raises Refused with its last
    lines where its exit code is another one than `code`."""
    started, lines = time.monotonic(), list[str]()
    console.print(f"[bold]{escape(name)}")
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        try:
            for line in shown(line.rstrip() for line in child.stdout or ()):
                lines.append(line)
                console.print("  " + escape(line), highlight=False, soft_wrap=True)
        except BaseException:
            processes.end({child.pid})
            raise
    if child.returncode != code:
        raise Refused(f"{name} failed (exit code {child.returncode}): " + " / ".join(lines[-3:]))
    return Part(name, time.monotonic() - started, lines[-1] if lines else "")


def fill_packages(console: Console) -> Part:
    """Wheels for the machines, downloaded once and kept. Debian's packages are kept as machines ask for them."""
    console.print("[bold]Package cache")
    filled = wheelhouse.fill(wheelhouse.locks(ROOT), progress=lambda line: console.print("  " + escape(line)))
    return Part("Package cache", filled.seconds, f"{len(filled.downloaded)} wheels downloaded, {filled.present} there")


def playbook(console: Console, target: Target, name: str, path: Path) -> tuple[Part, playbooks.Outcome]:
    """Run a playbook as a part of the rehearsal."""
    console.print(f"[bold]{escape(name)}")
    outcome = playbooks.run(target, path, console)
    return Part(name, outcome.seconds, f"{outcome.changed} changed"), outcome


def rehearse(stage: Stage, console: Console) -> tuple[str, bool]:
    """Rehearse a stage; returns the closing line and whether it says what it should. Raises Refused at a part that fails."""
    need_root()
    started = time.monotonic()
    parts = [
        step(console, "System packages", [str(ROOT / "scripts" / "bootstrap.sh"), "--system"]),
        fill_packages(console),
    ]
    parts.append(step(console, "Emulated cloud", [sys.executable, "-m", "rehearsal", "up", stage.name]))
    target = rehearsal_of(stage)
    part, first = playbook(console, target, "Build", stage.playbook)
    parts.append(part)
    console.print("[bold]Verify")
    outcome, passed = verification.verify(target, console)
    parts.append(Part("Verify", outcome.seconds, f"{passed} checks passed"))
    part, second = playbook(console, target, "Build again", stage.playbook)
    parts.append(part)
    summary(console, target, parts, first.hosts)
    if second.changed:
        console.print(f"[bold red]The second run changed {second.changed} things: see {second.log}")
    line = (
        f"{stage.name}: rehearsed in {time.monotonic() - started:.0f}s, {len(first.hosts)} hosts,"
        f" {passed} checks passed, second run changed {second.changed}"
    )
    return line, second.changed == 0


def summary(console: Console, target: Target, parts: list[Part], hosts: Collection[str]) -> None:
    """Time per part, where the stage answers, and how to end it."""
    table = Table(title=f"{target.stage.name}: rehearsed", title_justify="left", box=None, pad_edge=False)
    for column in ("part", "time", ""):
        table.add_column(column, justify="right" if column == "time" else "left", no_wrap=column != "")
    for part in parts:
        table.add_row(part.name, clock(part.seconds), escape(part.said))
    console.print(table)
    name = target.stage.name
    forward.inward(places.Place(name), FORWARD, entry(target)["address"], 443)
    where_it_answers(target, console)
    console.print(f"logs: {target.folder / 'logs'}", highlight=False, soft_wrap=True)
    if hosts:
        console.print(f"a shell: make shell STAGE={name} HOST={sorted(hosts)[0]}", highlight=False)
    console.print(
        f"to end it: make destroy STAGE={name}   (and `make down STAGE={name}` whatever happens)", highlight=False
    )


def entry(target: Target) -> dict[str, Any]:
    """The address, name and model of the stage's public entry, and whether it shows its documentation at /docs, as the
    stage's playbook has written them down."""
    written: dict[str, Any] = files.read_json(target.folder / "entry.json", target.stage.name)
    return written


def where_it_answers(target: Target, console: Console) -> None:
    """The address on 127.0.0.1, with a line to copy for the API; nothing where the stage was not built as far as that."""
    ports = [one.listen[1] for one in forward.listed(places.Place(target.stage.name)) if one.name == FORWARD]
    if not ports or not (target.folder / "entry.json").exists():
        return
    known, port = entry(target), ports[0]
    host = known["hostname"]
    documented = "; its documentation is at /docs" if known["documented"] else ""
    at = f"--resolve {host}:{port}:127.0.0.1 https://{host}:{port}"
    for line in (
        f"the API answers on 127.0.0.1:{port} as {host}{documented}. Ask it:",
        f"  curl --config {target.folder}/curl.conf {at}/v1/predict/{known['model']}",
    ):
        console.print(line, highlight=False, soft_wrap=True)


def emptied(target: Target, console: Console, confirm: str) -> playbooks.Outcome:
    """Take down all that is in a stage's folder, data included. Raises Refused where something of it is left."""
    return playbooks.run(
        target, ROOT / "playbooks" / "destroy.yml", console, {"confirm": confirm, "destroy_data": "yes"}
    )


def destroy(stage: Stage, target: Target, console: Console, confirm: str) -> str:
    """Take a stage down; returns the closing line. A rehearsal goes with its stage."""
    started = time.monotonic()
    console.print(f"[bold]Destroy {stage.name} ({target.where})")
    emptied(target, console, confirm)
    if target.rehearsed:
        step(console, "Take the emulated cloud down", [sys.executable, "-m", "rehearsal", "down", stage.name])
    # Both have failed, with what it is, where something was left: the zeros are what they proved.
    return f"{stage.name}: destroyed in {time.monotonic() - started:.0f}s, 0 resources left, 0 containers left"


def nothing_is_there(stage: Stage) -> bool:
    """Whether there is nothing to destroy: no rehearsal, nothing left of one, and no credentials for the cloud.

    Raises WorldError where another state folder has a rehearsal of the stage."""
    if any(os.environ.get(name) for name in CREDENTIALS):
        return False
    place = places.Place(stage.name)
    if lifecycle.leftovers(place):
        return False
    lifecycle.check_owner(place)
    return True
