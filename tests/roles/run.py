"""Role tests: every Molecule scenario, two at a time, each with a folder and containers of its own.

    python tests/roles/run.py                     all scenarios
    python tests/roles/run.py nginx base          these
    python tests/roles/run.py nginx --only converge --keep    one step; the container stays for a look
    python tests/roles/run.py --os debian-13      on one Debian only; by default on every one that a role supports

A scenario is a folder below molecule/. Its role meets a fresh host in check mode, converges, converges again without a
change, predicts no change in check mode, and then answers what molecule/<scenario>/test_*.py asks it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "molecule" / "shared"))

import containers
from hosts import FAMILIES, hosts

from rehearsal.world import WorldError

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "molecule" / "shared"
DONE = re.compile(r"INFO +\S+ ➜ (?:check|converge|idempotence): Executed: Successful")
STEP = re.compile(r"INFO +\S+ ➜ (\w+): (Executing|Executed)")
CHANGED = re.compile(r"^\W*sc-molecule-\S+\s+: ok=\d+\s+changed=(\d+)\s", re.MULTILINE)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
AT_ONCE = 2
VERIFY = "verify"
TAIL = 60  # lines of a failed scenario's log that are shown


@dataclass(frozen=True)
class Outcome:
    """What one scenario proved, and where the whole story is."""

    name: str
    passed: int
    failed: int
    seconds: float
    log: Path
    why: str = ""
    steps: tuple[tuple[str, float], ...] = ()  # what Molecule did, and the seconds of each


def main() -> int:
    known = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml") if path.parent.name != "default")
    parser = argparse.ArgumentParser(description="Run the Molecule scenarios of the roles.")
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(known)}; all when none is named"
    )
    parser.add_argument(
        "--only",
        metavar="STEP",
        default="test",
        help="one of Molecule's commands, or verify, instead of the whole sequence",
    )
    parser.add_argument("--os", choices=FAMILIES, action="append", help="a Debian to run on; may be given again")
    parser.add_argument("--keep", action="store_true", help="leave the containers standing")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(known):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    state = Path(os.environ.get("STAGECRAFT_MOLECULE_STATE") or tempfile.gettempdir()) / "stagecraft-molecule"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = []
        wanted = [name for name in options.scenarios or known if hosts(name, options.os or list(FAMILIES))]
        running = [pool.submit(run, name, state, options) for name in wanted]
        for future in as_completed(running):
            outcome = future.result()
            outcomes.append(outcome)
            print(
                f"{'ok    ' if not outcome.failed else 'FAILED'} {outcome.name:<16} {outcome.seconds:5.0f} s",
                flush=True,
            )
            if outcome.failed:
                print(
                    "\n".join(plain(outcome.log).splitlines()[-TAIL:]),
                    f"\n{outcome.why}\nfull log: {outcome.log}",
                    sep="\n",
                    flush=True,
                )
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"{sum(outcome.passed for outcome in outcomes)} passed, {failed} failed")
    return 1 if failed else 0


def run(name: str, state: Path, options: argparse.Namespace) -> Outcome:
    """One scenario, its output in a log of its own."""
    began = time.monotonic()
    log, wanted = state / f"{name}.log", hosts(name, options.os or list(FAMILIES))
    log.write_text("")
    for report in reports(name, state):
        report.unlink()
    whole = options.only == "test"
    try:
        if whole:
            containers.down(name, state)
        containers.up(name, state, wanted)
    except WorldError as error:
        return Outcome(name, 0, 1, time.monotonic() - began, log, str(error))
    (state / f"{name}.json").write_text(json.dumps({name: {"hosts": {host: {} for host in wanted}}}))
    steps = [("create", time.monotonic() - began)]
    env, code = environment(name, state), 0
    if options.only != VERIFY:
        code, molecule = logged(molecule_command(name, options.only), env, log)
        steps += molecule
    why = ""
    if whole and code == 0 and set(last_changes(log)) - {"0"}:
        why = "check mode on the converged host predicts a change"
    if code == 0 and options.only in ("test", VERIFY):
        asked = time.monotonic()
        code = verify(name, wanted, state, env, log)
        steps.append((VERIFY, time.monotonic() - asked))
    if whole and not options.keep:
        containers.down(name, state)
    seconds = time.monotonic() - began
    if options.only not in ("test", VERIFY):
        return Outcome(name, int(code == 0), int(code != 0), seconds, log, steps=tuple(steps))
    passed, failed = answers(reports(name, state))
    passed += len(DONE.findall(plain(log))) - bool(why)
    failed += bool(why)
    return Outcome(name, passed, failed or int(code != 0), seconds, log, why, tuple(steps))


def molecule_command(name: str, step: str) -> list[str]:
    shared = ["--base-config", str(SHARED / "config.yml")]
    kept = ["--destroy=never"] if step == "test" else []
    return [sys.executable, "-m", "molecule", *shared, step, "--scenario-name", name, "--no-command-borders", *kept]


def verify(name: str, names: Iterable[str], state: Path, env: dict[str, str], log: Path) -> int:
    """Talk to what the role has built: Testinfra, a process a host; 0 where all that was asked was answered right."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:pytest-ansible", "-p", "no:cacheprovider"]
    with log.open("a") as out:
        asking = [
            subprocess.Popen(
                [*pytest, f"--hosts=podman://{host}", f"--junitxml={state}/{name}.{host}.xml", f"molecule/{name}"],
                cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT,
            )
            for host in names
        ]  # fmt: skip
        return max(one.wait() for one in asking)


def logged(command: list[str], env: dict[str, str], log: Path) -> tuple[int, list[tuple[str, float]]]:
    """Run Molecule with its output in a file; its exit code, and how long each of its steps took, in their order."""
    began, steps = 0.0, list[tuple[str, float]]()
    with (
        log.open("a", buffering=1) as file,
        subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as molecule,
    ):
        for line in molecule.stdout or ():
            file.write(line)
            if step := STEP.search(ANSI.sub("", line)):
                now = time.monotonic()
                if step[2] == "Executing":
                    began = now
                else:
                    steps.append((step[1], now - began))
    return molecule.returncode, steps


def plain(log: Path) -> str:
    return ANSI.sub("", log.read_text(errors="replace"))


def last_changes(log: Path) -> list[str]:
    """How many changes each host had in the last run of Ansible, the check of the converged hosts."""
    return CHANGED.findall(plain(log).rpartition("PLAY RECAP")[2])


def reports(name: str, state: Path) -> list[Path]:
    """The JUnit reports of a scenario, one a host; none when it did not get that far."""
    return sorted(state.glob(f"{name}.*.xml"))


def answers(found: list[Path]) -> tuple[int, int]:
    """Passed and failed tests of JUnit reports."""
    suites = [suite for report in found for suite in ET.parse(report).getroot().iter("testsuite")]
    total = failed = 0
    for suite in suites:
        total += int(suite.get("tests", 0)) - int(suite.get("skipped", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return total - failed, failed


def environment(name: str, state: Path) -> dict[str, str]:
    """What Molecule, Ansible and the scenario's playbooks read."""
    collections = f"{ROOT / 'collections'}:{sysconfig.get_path('purelib')}"
    return {
        **os.environ,
        "PATH": f"{SHARED / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
        "COLUMNS": "160",
        "ANSIBLE_HOME": str(state / "ansible"),
        "CONTAINERS_CONF": str(ROOT / "rehearsal" / "world" / "containers.conf"),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(state / "molecule" / name),
        "STAGECRAFT_MOLECULE_ANSIBLE": str(Path(sys.executable).parent / "ansible-playbook"),
        "STAGECRAFT_MOLECULE_PODMAN": shutil.which("podman") or "podman",
        "STAGECRAFT_MOLECULE_SCENARIO": name,
        "STAGECRAFT_MOLECULE_STATE": str(state),
    }


if __name__ == "__main__":
    sys.exit(main())
