"""How to reach a rehearsal: the variables that point programs at it, and the network namespace that they must be in."""

from __future__ import annotations

import json
from pathlib import Path

from rehearsal import files, processes
from rehearsal.places import CONTROLLER, PACKAGES, STORAGE, WHEELS, Place
from rehearsal.world import WorldError, seaweed
from rehearsal.world.shell import NETNS

CLOUD = "cloud"  # the daemon that answers the cloud's API
OPERATORS = {"STAGECRAFT_OPERATORS": f"{CONTROLLER}/32"}  # who may log in to a rehearsal's machines
OVERLAY = Path(__file__).with_name("overlay.yml")


def environment(name: str) -> dict[str, str]:
    """The variables that point Ansible, SDKs and roles at a rehearsal. Credentials are named by file, never shown.

    Raises WorldError when the rehearsal was never started."""
    place = Place(name)
    try:
        variables = files.read_json(place.cloud / "env.json", name)
    except FileNotFoundError:
        raise WorldError(f"{name}: no such rehearsal. Start it: rehearsal up {name}") from None
    machines = has_machines(place)
    variables |= OPERATORS | {
        "STAGECRAFT_OVERLAY": str(OVERLAY),
        "YC_STORAGE_ENDPOINT": f"https://{STORAGE}" if machines else seaweed.endpoint(place),
        "AWS_CA_BUNDLE": variables["YC_ROOT_CERTIFICATES"],
    }
    if machines:
        variables |= {
            "STAGECRAFT_APT_PROXY": f"http://{PACKAGES}",
            "STAGECRAFT_PIP_FIND_LINKS": f"http://{WHEELS}/",
        }
    return variables


def netns(name: str) -> Path | None:
    """The namespace from which the rehearsal is reached; None for one without machines, which answers on loopback."""
    place = Place(name)
    return NETNS / place.netns("internet") if has_machines(place) else None


def is_up(name: str) -> bool:
    """Whether the cloud of a rehearsal is running."""
    place = Place(name)
    return bool(processes.running(place, CLOUD)) and (place.cloud / "env.json").exists()


def has_machines(place: Place) -> bool:
    """Whether the rehearsal was started with a network and machines."""
    return _settings(place).get("machines", False)


def was_started(place: Place) -> bool:
    return bool(_settings(place))


def remember(place: Place, *, machines: bool) -> None:
    """Write down how the rehearsal was started, for the next `up`."""
    files.write(place.folder / "rehearsal.json", json.dumps({"machines": machines}))


def _settings(place: Place) -> dict[str, bool]:
    try:
        return files.read_json(place.folder / "rehearsal.json", place.name)
    except FileNotFoundError:
        return {}
