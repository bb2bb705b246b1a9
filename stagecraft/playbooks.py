"""Run a playbook for a target, with progress, a log that grows as it runs, and one message when it fails."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import yaml
from rich.console import Console

from rehearsal import files
from stagecraft import declarations, lock, supervision
from stagecraft.progress import Progress, plain
from stagecraft.stages import ROOT, Refused
from stagecraft.target import Target

CONTROLLER = "localhost"


@dataclass(frozen=True)
class Outcome:
    """What a run of a playbook came to."""

    seconds: float
    changed: int
    hosts: tuple[str, ...]
    log: Path
    told: dict[str, Any]  # what the playbook said with set_stats


def log_file(target: Target, playbook: str) -> Path:
    """A new log in the stage's folder, readable by its owner only."""
    path = files.private_folder(target.folder / "logs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{playbook}.log"
    path.touch(mode=0o600)
    return path


def run(
    target: Target, playbook: Path, console: Console, variables: dict[str, object] | None = None, arguments: str = "",
    *, quietly: bool = False,
) -> Outcome:  # fmt: skip
    """Run one playbook; `quietly` says nothing of each resource. Raises Refused with the failed hosts and tasks, the log,
    and how to get a shell there."""
    from ansible_runner.interface import init_runner  # here, because it would make every other command start later

    log, started = log_file(target, playbook.stem), time.monotonic()
    console.print(f"  log: {log}", highlight=False, soft_wrap=True)
    folder = lock.scratch(target.folder)
    environment = {
        **target.environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "true",
        "PATH": f"{Path(sys.executable).parent}:{target.environment()['PATH']}",
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), supervision.RUN: str(target.folder),
        "STAGECRAFT_PROGRESS": str(folder / "progress"),
    }  # fmt: skip
    extra = {**overlay(environment), **(variables or {})}
    progress = Progress(console, target.stage.name, folder / "progress", quietly=quietly)
    try:
        with supervision.supervised(target.folder, log) as processes, progress, log.open("a", buffering=1) as out:
            runner = init_runner(
                private_data_dir=str(folder), project_dir=str(ROOT), playbook=str(playbook), envvars=environment,
                extravars=extra, cmdline=arguments or None, quiet=True, suppress_env_files=True,
                event_handler=follow(out, progress), status_handler=forget, cancel_callback=lambda: bool(processes.stopped),
            )  # fmt: skip
            with target.inside():
                runner.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if processes.stopped:
        raise Refused(
            f"{target.stage.name}: stopped, and every process of this run has ended. What was done stays;"
            f" run the same again to go on, or take the stage down: make destroy STAGE={target.stage.name}"
            f"\n  full log: {log}",
            128 + processes.stopped,
        )
    if runner.rc:
        raise Refused(failure(target, playbook, progress, log))
    changed = sum(progress.stats.get("changed", {}).values())
    hosts = tuple(sorted(h for h in progress.stats.get("ok", {}) if h != CONTROLLER))
    return Outcome(time.monotonic() - started, changed, hosts, log, progress.told)


def extra_variables(pairs: list[str]) -> dict[str, object]:
    """Variables of one run, from `name=value` each: the value is text, as with Ansible's own option. Raises Refused."""
    told: dict[str, object] = {}
    for pair in pairs:
        name, given, value = pair.partition("=")
        if not given or not name.isidentifier():
            raise Refused(f"-e {pair}: say it as name=value, such as -e lease_wait=20m.", 2)
        told[name] = value
    return told


def known_variables(pairs: list[str]) -> dict[str, object]:
    """The same. Raises Refused also for a variable that nothing reads, and that is like one that is read."""
    if told := extra_variables(pairs):
        declarations.refuse_slips([(f"-e {variable}", variable) for variable in told], 1)
    return told


def follow(log: TextIO, progress: Progress) -> Callable[[dict[str, Any]], bool]:
    """What takes ansible-runner's events: each is written to the log as it comes, and kept nowhere else."""

    def handle(event: dict[str, Any]) -> bool:
        progress.handle(event)
        if text := event.get("stdout"):
            log.write(plain(text) + "\n")
        return False

    return handle


def forget(status: dict[str, str], runner_config: Any) -> None:
    """ansible-runner writes its whole environment, credentials too, to a file that nobody reads: remove it at once."""
    if status["status"] == "running":
        (Path(runner_config.artifact_dir) / "command").unlink()


def overlay(environment: dict[str, str]) -> dict[str, object]:
    """What this target cannot have: the named scalars of the overlay file that the environment names, if any."""
    path = environment.get("STAGECRAFT_OVERLAY")
    return yaml.safe_load(Path(path).read_text()) or {} if path else {}


def failure(target: Target, playbook: Path, progress: Progress, log: Path) -> str:
    """One message: which host and task, the log, how to get a shell there."""
    lines = [f"{target.stage.name}: {playbook.name} failed."]
    machines = sorted({host for host, *_ in progress.failures if host != CONTROLLER})
    for host, task, _ in progress.failures:
        lines.append(f"  {host}: {task}")
    if not progress.failures:
        lines += [f"  {line}" for line in log.read_text().strip().splitlines()[-5:]]
    lines.append(f"  full log: {log}")
    if machines:
        lines.append(f"  a shell there: make shell STAGE={target.stage.name} HOST={machines[0]}")
    return "\n".join(lines)
