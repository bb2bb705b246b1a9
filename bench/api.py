"""The API with everything on against a plain proxy and against Triton's own HTTP front, asked by h2load."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable

from bench import ROOT
from bench.figures import HIGHER, RUNS, Bench, Figure, medians

sys.path += [
    str(ROOT / "tests" / "helpers"),
    str(ROOT / "apps" / "inference_api" / "tests"),
]  # their PostgreSQL and API

from bench.api_servers import Target, servers  # isort: skip
from bench.api_python import PYTHON  # isort: skip
from postgres import BINARIES  # isort: skip
from process import KEY, until  # isort: skip

SECONDS = 5  # of one run
MANY, FEW = 64, 16  # connections that ask without a pause, and that share a fixed rate
RATE = Figure(
    "api-rate", 2.0, "predictions a second: the API with everything on, a plain FastAPI proxy to the same Triton",
    better=HIGHER,
)  # fmt: skip
FRONT = Figure("api-rate-triton", 0.6, "the same, Triton's own HTTP front", better=HIGHER)
P99 = Figure(
    "api-p99", 1.0, "the 99th percentile of the time to an answer, both asked at half of the plain proxy's rate"
)
NEEDED = {
    "h2load": "nghttp2-client",
    PYTHON: "python3.11-venv libpython3.11",
    str(BINARIES / "initdb"): "postgresql-15",
}


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


def measured(say: Callable[[str], None]) -> dict[str, float]:
    """Rates by turns, then the times at one rate by turns."""
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if missing:
        raise SystemExit(f"The figures of the API need Debian packages: apt-get install {' '.join(missing)}")
    load = Load()
    with servers(say) as running:
        api, proxy = running.api, running.proxy
        ours, plain, front = medians(RUNS, *(load.rate(target) for target in (api, proxy, running.triton)))
        say(f"answers a second: API {ours:.0f}, plain proxy {plain:.0f}, Triton {front:.0f}")
        ours_late, plain_late = medians(RUNS, *(load.p99(target, plain / 2) for target in (api, proxy)))
        say(f"99th percentile at {plain / 2:.0f} a second: API {ours_late:.1f} ms, plain proxy {plain_late:.1f} ms")
        until(lambda: running.recorded() >= load.answered[api.name])  # it was all on: each prediction is on record
    return {RATE.name: ours / plain, FRONT.name: ours / front, P99.name: ours_late / plain_late}


BENCHES = (Bench((RATE, FRONT, P99), measured),)
