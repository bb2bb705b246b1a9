"""Run a playbook for a target, with progress, a full log, and one message when it fails."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runner
from rich.console import Console

from stagecraft.progress import Progress
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
    folder = target.folder / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{playbook}.log"
    path.touch(mode=0o600)
    return path


def run(
    target: Target, playbook: Path, console: Console, variables: dict[str, object] | None = None, arguments: str = ""
) -> Outcome:
    """Run one playbook. Raises Refused with the failed hosts and tasks, the log, and how to get a shell there."""
    log, started = log_file(target, playbook.stem), time.monotonic()
    environment = {
        **target.environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "false",
        "PATH": f"{ROOT / '.venv' / 'bin'}:{target.environment()['PATH']}",
    }  # fmt: skip
    extra = {**overlay(environment), **(variables or {})}
    with tempfile.TemporaryDirectory(prefix="stagecraft-") as scratch, Progress(console, target.stage.name) as progress:
        with target.inside():
            result = ansible_runner.run(
                private_data_dir=scratch, project_dir=str(ROOT), playbook=str(playbook), envvars=environment,
                extravars=extra, cmdline=arguments or None, quiet=True, event_handler=progress.handle,
            )  # fmt: skip
        keep(Path(result.stdout.name), log)
    if result.status == "canceled":
        raise Refused(f"{target.stage.name}: stopped. Nothing is half-written; run the same again to go on.", 130)
    if result.rc:
        raise Refused(failure(target, playbook, progress, log))
    changed = sum(progress.stats.get("changed", {}).values())
    hosts = tuple(sorted(h for h in progress.stats.get("ok", {}) if h != CONTROLLER))
    return Outcome(time.monotonic() - started, changed, hosts, log, progress.told)


def overlay(environment: dict[str, str]) -> dict[str, object]:
    """What this target cannot have: the named scalars of the overlay file that the environment names, if any."""
    import yaml

    path = environment.get("STAGECRAFT_OVERLAY")
    return yaml.safe_load(Path(path).read_text()) or {} if path else {}


def keep(source: Path, log: Path) -> None:
    """Append a run's whole output to its log."""
    if source.exists():
        with log.open("a") as out:
            out.write(source.read_text(errors="replace"))


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
