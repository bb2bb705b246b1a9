"""`make chaos ARGS=--machines`: `kill -9` of the run, of the cloud and of single machines while a rehearsal is built."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rehearsal import environment, lifecycle, places, processes
from rehearsal.cloud import admin
from rehearsal.world import shell
from stagecraft import playbooks, verification
from stagecraft import rehearse as rehearsals
from stagecraft.chaos import Broken, Counts
from stagecraft.stages import ROOT, Refused, Stage
from stagecraft.target import rehearsal_of

MARK = "STAGECRAFT_CHAOS"
VICTIMS = ("run", "cloud", "machine")
LEASE = {"lease_ttl": "15s", "lease_wait": "2m"}  # a killed run does not let its lease go: the next waits for its end
ONE_RUN = 1200.0  # seconds that a run may take which nobody kills


def kills(stage: Stage, count: int, seed: int, within: float, console: Console) -> str:
    """`count` kills, in rounds of one of each kind: a round begins with nothing, and its last run is left alone.

    Each falls at most `within` seconds into a run. Raises Broken where the run that nobody kills does not converge,
    something is there twice, a run says nothing of use, or something is left."""
    rehearsals.need_root()
    place = places.Place(stage.name)
    if lifecycle.leftovers(place):
        raise Refused(f"A rehearsal of {stage.name} is up: end it first (make down STAGE={stage.name}).")
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    struck = 0
    while struck < count:
        up(stage, console)
        for victim in chance.sample(VICTIMS, len(VICTIMS))[: count - struck]:
            struck += disturb(stage, place, victim, chance.uniform(1, within), chance, console)
            console.print(f"[bold]{struck} of {count} kills")
            up(stage, console)
        target = rehearsal_of(stage)
        playbooks.run(target, stage.playbook, console, dict(LEASE))
        again = playbooks.run(target, stage.playbook, console)
        if again.changed:
            raise Broken(f"the run after the one that converged changes {again.changed} things: see {again.log}")
        check(place, stage)
        verification.verify(target, console)
        console.print(rehearsals.destroy(stage, target, console, stage.name), soft_wrap=True)
        if left := lifecycle.leftovers(place):
            raise Broken(f"after the destroy there is left: {left}")
    return f"{stage.name}: {count} kills, seed {seed}: the run after them converged, 0 duplicates, 0 left"


def up(stage: Stage, console: Console) -> None:
    """Start the rehearsal, or what has died of it."""
    rehearsals.step(console, "Emulated cloud", [sys.executable, "-m", "rehearsal", "up", stage.name])


def disturb(
    stage: Stage, place: places.Place, victim: str, moment: float, chance: random.Random, console: Console
) -> bool:
    """Start a run and kill somebody at that moment; whether it went on for so long.

    Raises Broken where a run that outlives the kill does not end by itself, shows a traceback, or fails without a word."""
    console.print(f"[bold]kill[/]: {victim}, {moment:.0f} s into a run")
    struck = False
    log = place.folder / "logs" / "chaos.log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "stagecraft", "apply", "--where", "rehearsal", stage.name]
        command += [f"--extra-vars={name}={value}" for name, value in LEASE.items()]
        known = {**os.environ, MARK: stage.name}  # by which all of its processes are known, in whatever session
        run = subprocess.Popen(command, cwd=ROOT, env=known, stdout=out, stderr=subprocess.STDOUT)
        try:
            run.wait(moment)
        except subprocess.TimeoutExpired:
            console.print(f"  {escape(strike(place, victim, run, chance))}")
            struck = True
        try:
            run.wait(ONE_RUN)
        except subprocess.TimeoutExpired:
            raise Broken(f"a run whose {victim} was killed does not end within {ONE_RUN:.0f} s: see {log}") from None
        finally:
            end(run, place.name)
    said = log.read_text(errors="replace")
    if "Traceback" in said:
        raise Broken(f"a run whose {victim} was killed shows a traceback: see {log}")
    if run.returncode > 0 and "error:" not in said:
        raise Broken(f"a run whose {victim} was killed fails and does not say why: see {log}")
    return struck


def strike(place: places.Place, victim: str, run: subprocess.Popen[bytes], chance: random.Random) -> str:
    """Kill, and say whom. Where no machine is there yet, the run is killed instead."""
    if victim == "cloud" and (pid := processes.running(place, environment.CLOUD)):
        os.kill(pid, signal.SIGKILL)
        return f"killed the emulated cloud ({pid})"
    if victim == "machine" and (machines := running(place)):
        name, pid = chance.choice(machines)
        os.kill(pid, signal.SIGKILL)
        return f"killed the machine {name} ({pid})"
    end(run, place.name)
    return "killed the run with everything that it had started"


def running(place: places.Place) -> list[tuple[str, int]]:
    """The machines that run, by name, with their first process."""
    listed = json.loads(shell.podman("ps", "--filter", f"label={place.label}", "--format", "json") or "[]")
    machines = [item for item in listed if "stagecraft.instance" in (item.get("Labels") or {})]
    return sorted((item["Names"][0].removeprefix(place.prefix), int(item["Pid"])) for item in machines)


def end(run: subprocess.Popen[bytes], stage: str) -> None:
    """`kill -9` of ansible-playbook and of all that the run of a stage has started: nobody has a chance to tidy up."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={stage}".encode() in environ.read_bytes().split(b"\0"):
                os.kill(int(environ.parent.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue
    run.wait()


def check(place: places.Place, stage: Stage) -> None:
    """Nothing is there twice, and each instance has exactly one machine. Raises Broken."""
    deadline = time.monotonic() + 60
    while (told := admin.ask(place.cloud, "status"))["pending"] and time.monotonic() < deadline:
        time.sleep(1)
    have = Counts.of(place.cloud)
    have.must_be(have, f"after the last build of {stage.name}")
    instances, machines = told["resources"].get("compute.v1.Instance", 0), running(place)
    if len(machines) != instances:
        names = ", ".join(name for name, _ in machines)
        raise Broken(f"{instances} instances have {len(machines)} machines ({names})")
