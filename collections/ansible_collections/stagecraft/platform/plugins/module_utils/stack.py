"""Many resources at once: ordered by their references, independent ones side by side."""

from __future__ import annotations

import graphlib
import itertools
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

from .declaration import SELF, Fail, Resource, fault, references
from .references import Item, called, identity, referred, refuse_unknown
from .resource import apply


@dataclass
class Job:
    """One application of one declaration; an item in a circle has two: without its late option, then with it."""

    item: int
    params: dict
    before: set[int] = field(default_factory=set)  # the jobs that come first
    late: dict[int, str] = field(default_factory=dict)  # of them, those that a late option names
    only_if_exists: bool = False


def stack(
    items: list[Item],
    session: Any,
    check: bool = False,
    workers: int = 16,
    progress: Callable[[dict], None] | None = None,
    leaving: dict[tuple, str] | None = None,
) -> list[dict[str, Any]]:
    """Apply [(resource, params)] concurrently, each as soon as what comes before it is done.

    Returns for each item `item` (what it is called), `seconds`, and what `apply` returns, or `error`. `progress` is
    called with that, in this thread, as each item is finished. Raises Fail, before anything is changed, where references
    form a circle or name what is neither declared nor there, or what is `leaving` (see `refuse_unknown`).
    """
    jobs = arrange(items, session, check)
    refuse_unknown(items, session, leaving, workers)
    results, running = {}, {}
    sorter = graphlib.TopologicalSorter({n: job.before for n, job in enumerate(jobs)})
    sorter.prepare()
    left = [sum(job.item == i for job in jobs) for i in range(len(items))]
    parts: dict[int, dict] = {}

    def finish(n: int, result: dict) -> None:
        sorter.done(n)
        job = jobs[n]
        parts[n] = result
        results[job.item] = merge(results.get(job.item), result)
        left[job.item] -= 1
        if progress and not left[job.item]:
            progress({"item": called(items[job.item], session), **results[job.item]})

    with futures.ThreadPoolExecutor(workers) as pool:
        while sorter.is_active():
            for n in sorter.get_ready():
                broken = sorted({called(items[jobs[b].item], session) for b in jobs[n].before if "error" in parts[b]})
                if broken:
                    why = f"not tried, because this failed: {', '.join(broken)}"
                    finish(n, {"changed": False, "seconds": 0.0, "error": why})
                else:
                    running[pool.submit(work, items[jobs[n].item][0], jobs[n], session, check)] = n
            for done in futures.wait(running, return_when=futures.FIRST_COMPLETED).done:
                finish(running.pop(done), done.result())
    declared = {f"{r.kind} {p.get('name')}" for r, p in items}
    for result in results.values():
        result["missing"] = [m for m in result.get("missing", ()) if m not in declared]
    return [{"item": called(item, session), **results[i]} for i, item in enumerate(items)]


def work(resource: Resource, job: Job, session: Any, check: bool) -> dict[str, Any]:
    """One job in a thread of its own; an error of the user or the cloud is a result."""
    started = time.monotonic()
    try:
        if job.only_if_exists and not apply(resource, {**job.params, "state": "info"}, session)["exists"]:
            result = {"changed": False}
        else:
            result = apply(resource, job.params, session, check)
    except Fail as error:
        result = {"changed": False, "error": str(error)}
    except Exception as error:  # of this project: what the others came to is not lost by it
        result = {"changed": False, "error": f"{fault(error)}. Please report it; run the same again to go on"}
    return {**result, "seconds": round(time.monotonic() - started, 2)}


def merge(first: dict | None, second: dict) -> dict:
    """The result of an item that took two jobs: created without an option and updated with it, or cleared and deleted."""
    if first is None or "error" in first:  # what failed first is why the rest was not tried
        return first or second
    both = {
        **first,
        **second,
        "changed": first["changed"] or second["changed"],
        "seconds": first["seconds"] + second["seconds"],
    }
    if "change" in first and "change" in second:
        both["change"] = {name: first["change"][name] + second["change"][name] for name in first["change"]}
    deleted = second.get("diff", {}).get("after") == {"state": "absent"}
    if "diff" in first and "diff" in second and not deleted:
        both["diff"] = {
            "before": {**second["diff"]["before"], **first["diff"]["before"]},
            "after": {**first["diff"]["after"], **second["diff"]["after"]},
        }
        if not first["diff"]["before"] and first["changed"]:
            both["diff"]["before"] = {}
    return both


# ---- order ----
def arrange(items: list[Item], session: Any, check: bool) -> list[Job]:
    """The jobs with their order: what an item refers to comes before it; when deleting, after it."""
    jobs = [Job(i, params) for i, (_, params) in enumerate(items)]
    at = {identity(r, p, session): i for i, (r, p) in enumerate(items)}
    for i, (resource, params) in enumerate(items):
        for f, name, option in references(session.bound(resource), params):
            target = resource if f.target is SELF else f.target
            j = at.get(referred(target, name, params, session), i)
            states = {params["state"], items[j][1]["state"]}
            if j == i or len(states) > 1:
                continue
            first, then = (i, j) if params["state"] == "absent" else (j, i)
            jobs[then].before.add(first)
            if f.late:
                jobs[then].late[first] = option
    let_act(items, jobs, session)
    cut_circles(items, jobs, session, check)
    return jobs


def let_act(items: list[Item], jobs: list[Job], session: Any) -> None:
    """What starts as an account comes after what gives that account its roles: no reference of either says so."""
    acting: dict[int, set[tuple]] = {}
    giving: dict[tuple, set[int]] = {}
    for i, (resource, params) in enumerate(items):
        for f, name, _ in references(session.bound(resource), params) if params["state"] == "present" else ():
            who = referred(f.target, name, params, session) if f.acts or f.gives else ()
            if f.acts:
                acting.setdefault(i, set()).add(who)
            elif f.gives:
                giving.setdefault(who, set()).add(i)
    for i, accounts in acting.items():
        for who in accounts:  # of two that act and give each other roles neither waits
            jobs[i].before |= giving.get(who, set()) - acting.keys()


def cut_circles(items: list[Item], jobs: list[Job], session: Any, check: bool) -> None:
    """Where references form a circle, one that may come late is left out at first and added when all of them exist."""
    while True:
        sorter = graphlib.TopologicalSorter({n: job.before for n, job in enumerate(jobs)})
        try:
            return sorter.prepare()
        except graphlib.CycleError as error:
            circle = error.args[1]  # each comes before the next
        late = next(((a, b) for a, b in itertools.pairwise(circle) if a in jobs[b].late), None)
        if late is None:
            path = " -> ".join(called(items[jobs[n].item], session) for n in circle)
            raise Fail(f"references form a circle: {path}; take one of them out")
        if jobs[late[1]].params["state"] == "absent":
            let_go(items, jobs, *late, session)
        else:
            postpone(jobs, *late, check)


def postpone(jobs: list[Job], first: int, then: int, check: bool) -> None:
    """`then` is made without the option that names `first`, and gets it in a second job."""
    option, whole = jobs[then].late[first], jobs[then].params
    named = {n for n, o in jobs[then].late.items() if o == option}
    jobs[then].before -= named
    jobs[then].late = {n: o for n, o in jobs[then].late.items() if o != option}
    if not check:  # in check mode nothing is made: placeholders stand in for what does not exist yet
        jobs[then].params = {**whole, option: None}
        jobs.append(Job(jobs[then].item, whole, {then, *named}))


def let_go(items: list[Item], jobs: list[Job], first: int, then: int, session: Any) -> None:
    """Deleting: `first` refers to `then` by a late option, which is cleared before either is deleted."""
    option = jobs[then].late.pop(first)
    jobs[then].before.remove(first)
    job = jobs[first]
    bound = session.bound(items[job.item][0])
    keys = {n: v for n, v in job.params.items() if n in bound and bound[n].field.key}
    empty: Any = [] if bound[option].listy else ""
    cleared = Job(job.item, {**keys, option: empty, "state": "present"}, only_if_exists=True)
    if cleared not in jobs:  # an item in two circles is cleared once
        jobs.append(cleared)
    for n in (first, then):
        jobs[n].before.add(jobs.index(cleared))
