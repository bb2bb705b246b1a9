"""The API with everything on against a plain proxy and against Triton's own HTTP front, asked by h2load."""

from __future__ import annotations

from collections.abc import Callable

from bench.api_servers import servers
from bench.figures import HIGHER, RUNS, Bench, Figure, medians
from bench.load import Load, require

from postgres import BINARIES  # isort: skip
from process import until  # isort: skip

RATE = Figure(
    "api-rate", 2.0, "predictions a second: the API with everything on, a plain FastAPI proxy to the same Triton",
    better=HIGHER,
)  # fmt: skip
FRONT = Figure("api-rate-triton", 0.6, "the same, Triton's own HTTP front", better=HIGHER)
P99 = Figure(
    "api-p99", 1.0, "the 99th percentile of the time to an answer, both asked at half of the plain proxy's rate"
)


def measured(say: Callable[[str], None]) -> dict[str, float]:
    """Rates by turns, then the times at one rate by turns."""
    require({str(BINARIES / "initdb"): "postgresql-15"})
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
