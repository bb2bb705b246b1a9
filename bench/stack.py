"""`yc_stack` against one module call a resource, and against a client of the SDK that only lists."""

from __future__ import annotations

import graphlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench.ansible_runs import cloud, environment, partners, play
from bench.figures import RUNS, Bench, Figure, medians, timed
from bench.many import declared

from ansible_collections.stagecraft.platform.plugins.module_utils.options import read_all  # isort: skip
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL  # isort: skip
from ansible_collections.stagecraft.platform.plugins.module_utils.session import Session  # isort: skip
from ansible_collections.stagecraft.platform.plugins.module_utils.stack import arrange  # isort: skip
from ansible_collections.stagecraft.platform.plugins.plugin_utils import cloud_process  # isort: skip
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs.stack import flat  # isort: skip

MODULE = "stagecraft.platform.yc_{}"
STACK = "stagecraft.platform.yc_stack"
CREATE = Figure("stack-create", 0.2, "the partners stage's resources from nothing: `yc_stack`, one module call each")
UNCHANGED = Figure("stack-unchanged", 0.12, "the same with nothing to change")
HUNDREDS = Figure(
    "stack-200", 1.5, "200 resources of all kinds, nothing to change, a bare SDK client that only lists them"
)
MEMORY = Figure("stack-200-memory", 300, "the most memory of that process", unit="MB")


def tasks_of(resources: dict[str, Any], env: dict[str, str]) -> list[dict]:
    """One task a resource, in an order that works; where references form a circle, first without one of them.

    The order is the engine's, so that the reference is spared the thinking.
    """
    session = Session.from_options({
        "endpoint": env["YC_ENDPOINT"], "root_certificates": env["YC_ROOT_CERTIFICATES"], "folder": env["YC_FOLDER_ID"],
        "service_account_key_file": env["YC_SERVICE_ACCOUNT_KEY_FILE"],
    })  # fmt: skip
    entries = flat(resources)
    items, _ = read_all(entries, ALL, session, "present")
    jobs = arrange(items, session, False)
    tasks = []
    for n in graphlib.TopologicalSorter({n: job.before for n, job in enumerate(jobs)}).static_order():
        kind, values = next(iter(entries[jobs[n].item].items()))
        left_out = {name for name in values if jobs[n].params.get(name) is None}
        tasks.append({MODULE.format(kind): {k: v for k, v in values.items() if k not in left_out}})
    return tasks


def stage(say: Callable[[str], None]) -> dict[str, float]:
    """Create, repeat and delete, by turns with the stack and with single modules."""
    with cloud() as emulator:
        env = environment(emulator)
        resources = partners(env)
        single, together = tasks_of(resources, env), [{STACK: {"resources": resources}}]
        say(f"{len(flat(resources))} resources, {len(single)} module calls")
        gone = [{STACK: {"resources": resources, "state": "absent"}}]

        def create(tasks: list[dict]) -> Callable[[], float]:
            def run() -> float:
                play(gone, env)
                return play(tasks, env)

            return run

        made_together, made_single = medians(RUNS, create(together), create(single))
        same_together, same_single = medians(RUNS, lambda: play(together, env), lambda: play(single, env))
    say(
        f"create {made_together:.1f} s and {made_single:.1f} s, unchanged {same_together:.1f} s and {same_single:.1f} s"
    )
    return {CREATE.name: made_together / made_single, UNCHANGED.name: same_together / same_single}


def worker(job: str, request: dict[str, Any], env: dict[str, str]) -> tuple[dict[str, Any], float]:
    """The answer of the process that the plugins start, and the most memory it took, in MB. Raises RuntimeError."""
    whole = json.dumps({"job": job, "request": request, "run": 0}) + "\n"
    own = {name: value for name, value in cloud_process.environment().items() if not name.startswith("YC_")}
    ours, pipe = env | own, subprocess.PIPE
    with subprocess.Popen(cloud_process.command(), stdin=pipe, stdout=pipe, env=ours, text=True) as child:
        child.stdin.write(whole)
        child.stdin.flush()
        message = json.loads(next(line for line in child.stdout if '"event"' not in line))
        memory = os.wait4(child.pid, 0)[2].ru_maxrss / 1024  # of this child alone
    if "error" in message:
        raise RuntimeError(f"{job}: {message['error']}")
    return message["answer"], memory


def hundreds(say: Callable[[str], None]) -> dict[str, float]:
    """The process that yc_stack starts, against a process that lists the same kinds by the SDK's stubs."""
    with cloud(delay=0) as emulator:
        env = environment(emulator)
        resources = declared()
        request = {"connection": {}, "resources": resources, "state": "present", "check": False, "workers": 16}
        request |= {"stage": "", "app": None, "prune": False}
        most: list[float] = []

        def stack() -> None:
            answer, memory = worker("stack", request, env)
            most.append(memory)
            errors = [row["error"] for row in answer["results"] if "error" in row]
            if errors:
                raise RuntimeError(f"yc_stack: {errors}")

        def lists() -> None:
            subprocess.run([sys.executable, "-m", "bench.lists"], env=env, check=True, capture_output=True)

        stack()
        say(f"{len(flat(resources))} resources are there")
        before, after = medians(RUNS, lambda: timed(lists), lambda: timed(stack))
    say(f"lists {before:.2f} s, yc_stack {after:.2f} s")
    return {HUNDREDS.name: after / before, MEMORY.name: max(most)}


BENCHES = (Bench((CREATE, UNCHANGED), stage), Bench((HUNDREDS, MEMORY), hundreds))
