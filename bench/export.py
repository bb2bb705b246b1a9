"""`stagecraft export` of a thousand resources against a client of the SDK that only lists them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from bench.ansible_runs import cloud, environment
from bench.figures import RUNS, Bench, Figure, medians, timed
from bench.many import declared
from bench.stack import worker

FIGURE = Figure("export-1000", 1.5, "an export of 1,000 resources of all kinds, a bare SDK client that only lists them")
WHOLE = 1000


def thousand() -> dict:
    """Five times two hundred, less what there is once; networks make up for that."""
    resources = declared(5)
    left = WHOLE - sum(map(len, resources.values()))
    return resources | {"vpc_network": resources["vpc_network"] | {f"spare-{n}": {} for n in range(left)}}


def measured(say: Callable[[str], None]) -> dict[str, float]:
    """The process that the command starts, by turns with one that lists the same kinds by the SDK's stubs."""
    with cloud(delay=0) as emulator:
        env = environment(emulator)
        made = {"connection": {}, "resources": thousand(), "state": "present", "check": False, "workers": 16}
        rows = worker("stack", made | {"stage": "", "app": None, "prune": False}, env)[0]["results"]
        if errors := [row["error"] for row in rows if "error" in row]:
            raise RuntimeError(f"yc_stack: {errors}")

        def export() -> None:
            found = worker("export", {"connection": {}}, env)[0]["resources"]
            if (count := sum(map(len, found.values()))) != WHOLE:
                raise RuntimeError(f"{count} of {WHOLE} resources were exported")

        def lists() -> None:
            subprocess.run([sys.executable, "-m", "bench.lists"], env=env, check=True, capture_output=True)

        before, after = medians(RUNS, lambda: timed(lists), lambda: timed(export))
    say(f"lists {before:.2f} s, export {after:.2f} s")
    return {FIGURE.name: after / before}


BENCHES = (Bench((FIGURE,), measured),)
