"""What Serverless Containers never takes, by the limits of its documentation; known before anything is asked."""

from __future__ import annotations

import re
from typing import Any

from .declaration import Fail
from .values import seconds

MIB = 1 << 20
STEP, LEAST, MOST = 128 * MIB, 128 * MIB, 8192 * MIB  # of memory
CORES = {2: 4096 * MIB, 3: 6144 * MIB, 4: 8192 * MIB}  # number of cores -> the memory that it takes
RANGES = {
    "concurrency": (1, 16),
    "cores": (1, 4),
    "core_fraction": (5, 100),
    "min_instances": (0, None),
    "zone_instances_limit": (0, None),
    "zone_requests_limit": (0, None),
}
TIMEOUT = 3600  # seconds
ENVIRONMENT = 4096  # bytes of all variables with their names
RESERVED = ("PORT", "REQUEST_PATH")
IMAGE = re.compile(r"(?P<host>[\w-]+(?:\.[\w-]+)+(?::\d+)?)/[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::\w[\w.-]{0,127})?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def wrong(params: dict[str, Any]) -> list[str]:
    """A message for each thing that is wrong with a container's options."""
    found = [said for name, (low, high) in RANGES.items() if (said := off(name, params.get(name), low, high))]
    found += image(params.get("image")) + memory(params) + environment(params)
    return found + timeout("execution_timeout", params.get("execution_timeout"), TIMEOUT)


def off(name: str, value: int | None, low: int, high: int | None) -> str:
    """What to say of a number that is too small or too large; nothing where it is neither."""
    if value is None or (low <= value and (high is None or value <= high)):
        return ""
    return f"{name}: {value} is not {f'from {low} to {high}' if high else f'{low} or more'}"


def timeout(name: str, value: Any, longest: int) -> list[str]:
    """What to say of a duration that no call may take; nothing where it may."""
    try:
        fits = value is None or 1 <= seconds(name, value) <= longest
    except Fail as error:
        return [str(error)]
    return [] if fits else [f"{name}: {value} is not from 1s to {longest // 60}m"]


def image(reference: str | None) -> list[str]:
    if reference is None:
        return []
    name, at, digest = reference.partition("@")
    if not IMAGE.fullmatch(name):
        return [f"image: {reference!r} names no registry; write cr.yandex/<registry ID>/<name>@sha256:<digest>"]
    if at and not DIGEST.fullmatch(digest):
        return [f"image: {digest!r} is no digest: it is sha256: and 64 hexadecimal digits"]
    return []


def memory(params: dict[str, Any]) -> list[str]:
    size, cores, fraction = (params.get(name) for name in ("memory", "cores", "core_fraction"))
    found = []
    if size is not None and (not LEAST <= size <= MOST or size % STEP):
        found.append(f"memory: {size / MIB:g} MB is not from 128 MB to 8 GB in steps of 128 MB")
    elif size is not None and size < CORES.get(cores, 0):
        found.append(f"cores: {cores} of them take at least {CORES[cores] / MIB / 1024:g} GB of memory")
    if fraction is not None and fraction % 5:
        found.append(f"core_fraction: {fraction} is no multiple of 5")
    if fraction not in (None, 100) and (cores or 1) > 1:
        found.append(f"core_fraction: more than one core has 100, not {fraction}")
    return found


def environment(params: dict[str, Any]) -> list[str]:
    """Variables that are declared, those from secrets among them."""
    plain, secrets = params.get("environment") or {}, params.get("secrets") or []
    names = [*plain, *(secret["variable"] for secret in secrets)]
    found = [f"environment: {name} is set by the service itself" for name in RESERVED if name in names]
    found += [f"secrets: the variable {name} is set twice" for name in sorted({n for n in names if names.count(n) > 1})]
    size = sum(len(f"{name}{value}".encode()) for name, value in plain.items())
    if size > ENVIRONMENT:
        found.append(f"environment: all variables with their names have {size} bytes, more than {ENVIRONMENT}")
    if secrets and params.get("service_account") == "":
        found.append("secrets: they are read as the service account of the container: name one in service_account")
    return found
