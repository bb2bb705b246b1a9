"""`make demo`: a stage's whole life on the cloud's side in about a minute, by the commands that a person types. No root."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rehearsal import environment, places, processes
from stagecraft import by_hand, lock, supervision
from stagecraft.stages import Refused, stage

STAGE = "partners"
FEW = 3  # resources that are named one by one
RESOURCE = re.compile(r" {4}(created|updated|replaced|deleted)  ")
# The path of a log, which goes with the demo; a play that changed nothing; an empty line.
DULL = re.compile(r" +(full )?log: | .* nothing changed$|$")
# Variables of the person that would lead a command elsewhere: to their cloud, to a state folder of their own.
FOREIGN = ("YC_", "ANSIBLE_", "AWS_", "STAGECRAFT_", "ACTIONS_ID_TOKEN_")


@dataclass(frozen=True)
class Step:
    """What is said, the command that is run, and the exit code by which it says what it should."""

    said: str
    command: str = ""  # none: the change by hand
    code: int = 0


STEPS = (
    Step("An emulated cloud on 127.0.0.1: its own API, a real S3 server", f"rehearsal up {STAGE} --no-machines"),
    Step("Build what the cloud holds of the stage, as declared", f"stagecraft apply {STAGE} --cloud"),
    Step("Is anything left to do?", f"stagecraft plan {STAGE} --cloud"),
    Step("By hand, with one call: the databases are open to the internet"),
    Step("What is not as it was applied?", f"stagecraft drift {STAGE} --cloud", code=2),
    Step("Bring it back: the same command again", f"stagecraft apply {STAGE} --cloud"),
    Step("What does it cost?", f"stagecraft cost {STAGE}"),
    Step("Take it down, and prove that nothing is left", f"stagecraft destroy {STAGE}"),
)


def command() -> None:
    """Build the cloud's side of a stage, plan, change it by hand, see it, repair, price, destroy: a minute, no root."""
    stage(STAGE)
    console = Console(highlight=False)
    folder = places.state() / ".demo"
    with lock.held(folder, "demo", "demo"):
        try:
            seconds = demonstrate(folder, console)
        except Refused as refused:
            why = "stopped" if refused.code > 128 else str(refused)
            raise Refused(f"demo: {why}. Nothing of it is left.", refused.code) from None
        finally:
            for number in supervision.SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # what follows must not be cut off
            clean(folder)
    console.print(f"[bold]demo: built, changed by hand, mended, priced and taken down in {seconds:.0f} s")


def demonstrate(folder: Path, console: Console) -> float:
    """Every step after the other; seconds that they took. Raises Refused at one that does not say what it should."""
    from stagecraft.rehearse import step  # here, because it would make every other command start later

    started = time.monotonic()
    foreign = [name for name in os.environ if name.startswith(FOREIGN) and name != "STAGECRAFT_CACHE"]
    for name in foreign:
        del os.environ[name]
    os.environ |= {
        "STAGECRAFT_STATE": str(folder),
        supervision.RUN: str(folder),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "ansible" / "tmp"),
        "COLUMNS": str(console.width - 2),
    }

    def shown(lines: Iterable[str]) -> Iterable[str]:
        return wrapped(short(lines), console.width - 2)

    remove(folder)  # what a killed one has left
    for number, one in enumerate(STEPS, 1):
        console.print(f"\n[bold cyan]{number}. {escape(one.said)}")
        if one.command:
            program, *words = shlex.split(one.command)
            step(console, f"$ {one.command}", [sys.executable, "-m", program, *words], code=one.code, shown=shown)
        else:
            call = by_hand.open_database(environment.environment(STAGE))
            console.print(escape(textwrap.indent(textwrap.fill(call, console.width - 2), "  ")), soft_wrap=True)
    return time.monotonic() - started


def short(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a command without those that say nothing here; of many resources the first ones."""
    count = 0
    for line in lines:
        if RESOURCE.match(line):
            count += 1
        else:
            yield from more(count)
            count = 0
        if count <= FEW and not DULL.match(line):
            yield line
    yield from more(count)


def wrapped(lines: Iterable[str], width: int) -> Iterator[str]:
    """The lines in pieces of at most so many characters, cut between words."""
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        yield from textwrap.wrap(line, width, subsequent_indent=f"{indent}  ") if len(line) > width else [line]


def more(count: int) -> Iterator[str]:
    if count > FEW:
        yield f"    … and {count - FEW} more"


def remove(folder: Path) -> None:
    """End the processes of the demo and remove what it wrote. Raises WorldError with what does not go."""
    from rehearsal import lifecycle  # here, because it would make every other command start later

    os.environ["STAGECRAFT_STATE"] = str(folder)  # whatever the person has: theirs is not touched
    place = places.Place(STAGE)
    processes.end(processes.marked(place), patience=1)  # its servers first: alone they would take longer
    for run in (folder, folder / STAGE):
        supervision.end(run)
    lifecycle.down(place)
    for left in folder.iterdir():
        if left.name != lock.FILE:
            shutil.rmtree(left, ignore_errors=True)


def clean(folder: Path) -> None:
    """The same, and the folder itself; the one above it, too, where nothing else is in it."""
    remove(folder)
    shutil.rmtree(folder)
    with suppress(OSError):
        folder.parent.rmdir()
