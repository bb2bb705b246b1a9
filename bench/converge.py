"""The second run of all roles on one machine, against the same end state by one task a setting."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import containers
import run as role_tests

from bench import ROOT, converge_reference
from bench.ansible_runs import ansible
from bench.converge_reference import Written
from bench.figures import RUNS, Bench, Figure, medians, timed

FIGURE = Figure(
    "converge",
    0.33,
    "second run of all roles on one machine, the same end state by one task a file, unit and package list",
)
SCENARIO, HOST, FAMILY = "converge", "sc-bench-converge", "debian-12"
SHARED, MACHINE = ROOT / "molecule" / "shared", ROOT / "bench" / "machine"
RECAP = re.compile(rf"^{HOST}\s+: ok=(\d+)\s+changed=(\d+)\s", re.MULTILINE)

Play = Callable[[Path], tuple[int, int]]


@contextlib.contextmanager
def machine(state: Path) -> Iterator[Play]:
    """A container as role tests have them; what runs a playbook on it and says how many tasks it had, and changes."""
    inventory = state / "machine.json"
    hosts = {"hosts": {HOST: {}}}
    inventory.write_text(json.dumps({"all": {"children": {SCENARIO: hosts, "triton": hosts, "backup_age": hosts}}}))
    env = role_tests.environment(SCENARIO, state)
    env |= {"MOLECULE_PROJECT_DIRECTORY": str(ROOT), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    env |= {"ANSIBLE_PIPELINING": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_ROLES_PATH": str(state / "roles")}

    def play(playbook: Path) -> tuple[int, int]:
        inventories = ("-i", str(SHARED / "inventory.yml"), "-i", str(inventory))
        said = ansible("ansible-playbook", *inventories, str(playbook), env=env)
        recap = RECAP.search(said)
        return (int(recap[1]), int(recap[2])) if recap else (0, 0)

    try:
        containers.up(SCENARIO, state, {HOST: FAMILY})
        yield play
    finally:
        containers.down(SCENARIO, state)


def converged(say: Callable[[str], None]) -> dict[str, float]:
    """Both by turns on a machine that has all. Raises RuntimeError where one of them finds something to change."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, machine(Path(folder)) as play:
        ours, reference = MACHINE / "converge.yml", Path(folder) / "reference.yml"
        play(MACHINE / "prepare.yml")
        play(ours)
        converge_reference.write(ours, reference, Written.on(HOST, Path(folder)))
        tasks = {playbook: unchanged(play, playbook) for playbook in (ours, reference)}
        say(f"tasks on the machine: {tasks[ours]}, by one task a setting {tasks[reference]}")
        one, other = medians(RUNS, *(lambda p=playbook: timed(lambda: unchanged(play, p)) for playbook in tasks))
    say(f"roles {one:.1f} s, by one task a setting {other:.1f} s")
    return {FIGURE.name: one / other}


def unchanged(play: Play, playbook: Path) -> int:
    """The number of tasks of a run that changes nothing: both playbooks want the same state."""
    tasks, changes = play(playbook)
    if changes:
        raise RuntimeError(f"{playbook}: {changes} changes on a machine that has all; the two do not want the same")
    return tasks


BENCHES = (Bench((FIGURE,), converged, root=True),)
