"""h2load (Debian's nghttp2-client): bounded loads of one request, and how many answers each target has given."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.api_python import PYTHON

from process import KEY  # isort: skip

SECONDS = 5  # of one run
MANY, FEW = 64, 16  # connections that ask without a pause, and that share a fixed rate


@dataclass(frozen=True)
class Target:
    """Where one of them is asked for a prediction, and the request's body."""

    name: str
    address: str
    body: Path


def require(more: Mapping[str, str]) -> None:
    """SystemExit with what to install where a program is missing: h2load, Debian's Python, and `more` by their packages."""
    needed = {"h2load": "nghttp2-client", PYTHON: "python3.11-venv libpython3.11", **more}
    missing = [package for program, package in needed.items() if not shutil.which(program)]
    if missing:
        raise SystemExit(f"These figures need Debian packages: apt-get install {' '.join(missing)}")


class Load:
    """h2load, and how many answers it has had from each."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()

    def rate(self, target: Target) -> Callable[[], float]:
        """Answers a second when many ask without a pause."""
        return lambda: len(self._ask(target, MANY)) / SECONDS

    def p99(self, target: Target, rate: float) -> Callable[[], float]:
        """Milliseconds within which 99 of 100 requests are answered when a few ask for so many a second together."""
        return lambda: statistics.quantiles(self._ask(target, FEW, rate), n=100)[98] / 1000

    def _ask(self, target: Target, clients: int, rate: float = 0) -> list[int]:
        """Microseconds of each answer; RuntimeError unless every one was a 200."""
        with tempfile.NamedTemporaryFile("r") as log:
            command = ["h2load", "--h1", "--threads=1", f"--clients={clients}", f"--duration={SECONDS}"]
            command += [f"--log-file={log.name}", f"--data={target.body}", target.address]
            command += ["-H", "content-type: application/json", "-H", f"authorization: Bearer {KEY}"]
            command += [f"--rps={rate / clients}"] if rate else []
            subprocess.run(command, check=True, capture_output=True)
            rows = [[int(field) for field in line.split()[:3]] for line in log]
        bad = Counter(status for _, status, _ in rows if status != 200)
        if bad or not rows:
            raise RuntimeError(f"{target.name}: {len(rows)} answers, of these by status: {dict(bad)}")
        self.answered[target.name] += len(rows)
        return [microseconds for _, _, microseconds in rows]
