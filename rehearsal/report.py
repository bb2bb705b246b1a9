"""What `rehearsal status` says."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rehearsal import environment, forward, processes
from rehearsal.cloud import admin
from rehearsal.places import Place
from rehearsal.serverless import instances
from rehearsal.world import shell


def lines(place: Place) -> Iterator[str]:
    """A readable account of a rehearsal, line by line."""
    if folder := place.foreign():
        yield f"  containers and namespaces of this name belong to {folder}"
    if not environment.was_started(place):
        yield f"{place.name}: not started" + (
            " in this state folder: set STAGECRAFT_STATE to that one" if folder else ""
        )
        return
    yield "processes"
    for name, pid in processes.daemons(place).items():
        yield f"  {name:<12} {pid or 'DEAD: rehearsal up ' + place.name + ' starts it again'}"
    if environment.has_machines(place):
        yield from _machines(place)
        yield from _networks(place)
        yield "forwards"
        for item in forward.listed(place):
            yield f"  {item.name:<12} {item.listen[0]}:{item.listen[1]} to {item.target[0]}:{item.target[1]}"
    if (logs := instances.log_folder(place)).exists():
        yield f"what instances of serverless containers print: {logs}/"
    yield from _cloud(place)


def _machines(place: Place) -> Iterator[str]:
    yield "containers"
    listed = json.loads(shell.podman("ps", "--all", "--filter", f"label={place.label}", "--format", "json"))
    for item in sorted(listed, key=lambda item: item["Names"]):
        yield f"  {item['Names'][0].removeprefix(place.prefix):<24} {item['State']:<10} {item['Status']}"


def _networks(place: Place) -> Iterator[str]:
    yield "namespaces"
    for name in sorted(shell.namespaces()):
        if name.startswith(place.prefix):
            shown = shell.ip_json(name, "-4", "addr", "show", "scope", "global")
            addresses = [info["local"] for link in shown for info in link.get("addr_info", ()) if "local" in info]
            yield f"  {name.removeprefix(place.prefix):<24} {' '.join(addresses)}"


def _cloud(place: Place) -> Iterator[str]:
    try:
        told = admin.ask(place.cloud, "status")
    except admin.AdminError as error:
        yield f"cloud: {error}"
        return
    calls = told["calls"]
    yield f"cloud at {told['address']}: {calls['calls']} calls, the last {calls['last'] or 'never'}"
    for api, count in told["resources"].items():
        yield f"  {count:>4} {api}"
    for operation in told["pending"]:
        yield f"  pending: {operation['method']} {operation['resource']} ({operation['id']})"
    for method, count in calls["methods"].items():
        yield f"  {count:>4} calls of {method}"
    for refusal, count in calls["refusals"].items():
        yield f"  refused {count} times: {refusal}"
