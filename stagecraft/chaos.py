"""`make chaos`: injected faults, and `kill -9` at random moments. What follows must converge: no duplicate, no leak."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal import environment
from rehearsal.cloud import admin, server
from rehearsal.cloud.admin import AdminError
from stagecraft import rendered
from stagecraft.stages import ROOT, Refused, Stage, import_collection

Row = dict[str, Any]  # the result of one declaration, as the engine's stack returns it
Say = Callable[[str], None]
TRIES = 6  # runs under faults, until the next one is without
PATIENCE = 120.0  # seconds that one apply may take
KEPT = ("mdb.postgresql.v1.Backup",)  # the cloud keeps them for a while after their cluster, and then removes them
HELPFUL = re.compile(r"What to do: |run the same|not tried, because this failed: ")
# (effect, code, chance a call): about one call in ten goes wrong
WEATHER = (
    *(("refuse", "UNAVAILABLE", 0.02), ("refuse", "RESOURCE_EXHAUSTED", 0.02), ("refuse", "DEADLINE_EXCEEDED", 0.01)),
    *(("refuse", "INTERNAL", 0.005), ("lose", "UNAVAILABLE", 0.02), ("lose", "INTERNAL", 0.005)),
    *(("slow", "OK", 0.01), ("fail_operation", "INTERNAL", 0.02), ("fail_operation", "UNAVAILABLE", 0.02)),
)
SLOW = 0.2  # seconds
WORKER = """
import json, sys
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError, ask
try:
    print(json.dumps(ask("stack", json.load(sys.stdin))["results"]))
except CloudError as error:
    print(json.dumps([{"item": "the stack", "error": str(error)}]))
"""


class Broken(Refused):
    """What chaos found: something is there twice, or left, or a run neither converged nor said what to do."""


@dataclass
class Counts:
    """What is in an emulated cloud: how many of each type, and how many bindings of roles."""

    resources: dict[str, int]
    bindings: int
    duplicates: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, folder: Path) -> Counts:
        told = admin.ask(folder, "status")
        counted = {kind: number for kind, number in told["resources"].items() if kind not in KEPT}
        return cls(counted, told["bindings"], told["duplicates"])

    def must_be(self, wanted: Counts, after: str) -> None:
        """Raises Broken where something is twice, missing or left."""
        if self.duplicates:
            raise Broken(f"{after}: there are two of {', '.join(self.duplicates)}")
        if self != wanted:
            kinds = sorted({*self.resources, *wanted.resources})
            have = [(kind, self.resources.get(kind, 0), wanted.resources.get(kind, 0)) for kind in kinds]
            have.append(("bindings", self.bindings, wanted.bindings))
            raise Broken(f"{after}: " + ", ".join(f"{n} {kind} instead of {m}" for kind, n, m in have if n != m))


def declarations(stage: Stage, folder: str) -> dict[str, Any]:
    """What the stage declares for a rehearsal. Raises Refused with Ansible's words."""
    return rendered.resources(stage, {"YC_FOLDER_ID": folder, **environment.OPERATORS}, environment.OVERLAY)


def judged(results: list[Row], when: str) -> list[Row]:
    """The results, after their errors were found to say what to do. Raises Broken."""
    for row in results:
        if "error" in row and not HELPFUL.search(row["error"]):
            raise Broken(f"{when}: {row['item']} does not say what to do: {row['error']}")
    return results


def failed(results: list[Row]) -> list[str]:
    return [f"{row['item']}: {row['error']}" for row in results if "error" in row]


@dataclass
class Drill:
    """A stage's resources in an emulated cloud, built and taken away again and again. `apply` brings them to a state."""

    folder: Path
    apply: Callable[[str], list[Row]]
    built: Counts | None = None
    empty: Counts | None = None

    def learn(self) -> dict[str, int]:
        """Build and take away once, undisturbed: what must be there then. How many calls each took."""
        self.empty = Counts.of(self.folder)
        calls = {"present": self.settle("present")}
        self.built = Counts.of(self.folder)
        return calls | {"absent": self.settle("absent")}

    def settle(self, state: str, *, converged: bool = False) -> int:
        """Undisturbed it must converge at once, change nothing when repeated, and leave exactly what is wanted.

        `converged`: the run before said that it was done, so that this is the repetition. Returns how many calls it took."""
        before = calls(self.folder)
        if errors := failed(rows := self.apply(state)):
            raise Broken(f"an undisturbed run does not converge: {'; '.join(errors)}")
        took = calls(self.folder) - before
        if not converged:
            rows = self.apply(state)
        if errors := failed(rows) + [f"{row['item']} changes" for row in rows if row["changed"]]:
            raise Broken(f"the run after one that was done: {'; '.join(errors)}")
        have, wanted = Counts.of(self.folder), self.built if state == "present" else self.empty
        have.must_be(wanted or have, "after a build" if state == "present" else "after taking it away")
        return took


def calls(folder: Path) -> int:
    """How many calls a cloud has answered."""
    return (folder / "journal.jsonl").read_bytes().count(b"\n")


# ---- faults ----
def faults(stage: Stage, count: int, seed: int, say: Say) -> str:
    """At least `count` injected faults over builds of the cloud's side, in this process; the closing line. Raises Broken."""
    with tempfile.TemporaryDirectory(prefix="stagecraft-") as scratch:
        emulator = server.start(Path(scratch) / "cloud", delay=0.01, quotas=True)
        try:
            return storm(emulator, declarations(stage, emulator.env["YC_FOLDER_ID"]), count, seed, say)
        finally:
            emulator.faults.clear()
            emulator.stop()


def storm(emulator: server.Emulator, declared: dict[str, Any], count: int, seed: int, say: Say) -> str:
    drill = Drill(emulator.folder, lambda state: engine(emulator.env, declared, state))
    drill.learn()
    emulator.faults.random.seed(seed)
    taken = rounds = told = 0
    while taken < count:
        rounds += 1
        for state in ("present", "absent"):
            orders = [
                emulator.faults.add(
                    "*", effect=effect, code=code, chance=chance, count=None, delay=SLOW * (effect == "slow")
                )
                for effect, code, chance in WEATHER
            ]
            errors = [""]
            for _ in range(TRIES):
                errors = failed(judged(drill.apply(state), f"round {rounds}"))
                told += len(errors)
                if not errors or taken + sum(order.taken for order in orders) >= count:
                    break
            taken += sum(order.taken for order in orders)
            emulator.faults.clear()
            drill.settle(state, converged=not errors)
        say(f"round {rounds}: {taken} faults, {told} messages")
    return (
        f"{taken} faults over {rounds} builds, seed {seed}: {told} messages that say what to do, 0 duplicates, 0 left"
    )


def engine(env: dict[str, str], declared: dict[str, Any], state: str) -> list[Row]:
    """Bring declarations to a state with the engine, in this process. An error of the whole run is one row."""
    import_collection()
    from ansible_collections.stagecraft.platform.plugins.module_utils import options, resources, stack
    from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
    from ansible_collections.stagecraft.platform.plugins.module_utils.session import Session
    from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs.stack import flat

    where = {"endpoint": "YC_ENDPOINT", "root_certificates": "YC_ROOT_CERTIFICATES", "folder": "YC_FOLDER_ID"}
    where["service_account_key_file"] = "YC_SERVICE_ACCOUNT_KEY_FILE"
    session = Session.from_options({option: env[name] for option, name in where.items()} | {"retry_time": 20})
    items, _ = options.read_all(flat(declared), resources.ALL, session, state)
    try:
        rows: list[Row] = stack.stack(items, session)
    except Fail as error:  # what is referred to could not be looked up, and so nothing was begun
        rows = [{"item": "the stack", "changed": False, "error": str(error)}]
    return rows


# ---- kill -9 ----
class Cloud:
    """An emulator as a process of its own, which can be killed and comes back at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        self.env: dict[str, str] = {}

    def start(self) -> None:
        port = self.env.get("YC_ENDPOINT", ":0").rpartition(":")[2]
        command = [sys.executable, "-m", "rehearsal.cloud", "--delay", "0.1"]
        command += ["--folder", str(self.folder), "--port", port]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout or not self.process.stdout.readline().startswith("ready "):
            raise Broken("the emulated cloud does not start again")
        self.env = json.loads((self.folder / "env.json").read_text())

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()


@contextmanager
def cloud(folder: Path) -> Iterator[Cloud]:
    made = Cloud(folder)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def kills(stage: Stage, count: int, seed: int, say: Say) -> str:
    """`kill -9` of the run or of the cloud at random moments of builds and destroys; the closing line. Raises Broken."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    with tempfile.TemporaryDirectory(prefix="stagecraft-") as scratch, cloud(Path(scratch) / "cloud") as emulated:
        declared = declarations(stage, emulated.env["YC_FOLDER_ID"])
        drill = Drill(emulated.folder, lambda state: engine(emulated.env, declared, state))
        spans = drill.learn()
        for number in range(1, count + 1):
            state, victim = ("present", "absent")[(number - 1) % 2], chance.choice(("run", "cloud", "both"))
            moment = chance.randrange(spans[state])
            say(f"kill {number} of {count}: {victim}, after call {moment} of about {spans[state]} of {state}")
            strike(emulated, begin(emulated.env, declared, state), victim, moment)
            drill.settle(state)
        drill.settle("absent")
    return f"{count} kills, seed {seed}: every next run converged, 0 duplicates, 0 left"


def begin(env: dict[str, str], declared: dict[str, Any], state: str) -> subprocess.Popen[str]:
    """An apply in a process of its own, as Ansible starts one."""
    request = {"connection": {}, "resources": declared, "state": state, "check": False, "workers": 16, "prune": False}
    known = {**os.environ, **env, "PYTHONPATH": str(ROOT / "collections")}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORKER]
    run = subprocess.Popen(command, cwd=ROOT, env=known, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert run.stdin is not None
    run.stdin.write(json.dumps(request | {"stage": None, "app": None}))
    run.stdin.close()
    run.stdin = None  # communicate() would write to it again
    return run


def strike(emulated: Cloud, run: subprocess.Popen[str], victim: str, moment: int) -> None:
    """Kill after so many calls. A run that outlives its cloud must end by itself, converged or with messages that help."""
    first, end = calls(emulated.folder), time.monotonic() + PATIENCE
    while calls(emulated.folder) - first < moment and run.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    if victim in ("run", "both"):
        run.kill()
    if victim in ("cloud", "both"):
        emulated.kill()
        emulated.start()
    said, words = run.communicate(timeout=PATIENCE)
    if victim == "cloud":
        if run.returncode:
            raise Broken(f"an apply whose cloud was killed ended with code {run.returncode}: {words.strip()}")
        judged(json.loads(said), "an apply whose cloud was killed")


def run(stage: Stage, *, faults_wanted: int, kills_wanted: int, seed: int, say: Say) -> None:
    """Everything that needs neither root nor machines. Raises Broken."""
    try:
        if faults_wanted:
            say(faults(stage, faults_wanted, seed, say))
        if kills_wanted:
            say(kills(stage, kills_wanted, seed, say))
    except AdminError as error:
        raise Broken(f"the emulated cloud cannot be asked: {error}") from error
