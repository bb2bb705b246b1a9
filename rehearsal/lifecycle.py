"""Starting a rehearsal, and ending it whatever state it is in."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal import environment, files, packages, processes
from rehearsal.cloud import admin
from rehearsal.environment import CLOUD
from rehearsal.places import API, REST, Place
from rehearsal.processes import Daemon
from rehearsal.serverless import control
from rehearsal.serverless import network as serverless
from rehearsal.world import WorldError, images, names, network, postgres_image, seaweed, shell

if TYPE_CHECKING:
    from rehearsal.world.storage import Storage

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"[a-z][a-z0-9]{0,30}")  # no hyphen: what carries the prefix of `a` must not be of `a-b`
API_LIMIT = 120  # seconds; after a restart of the machine the cloud first brings its machines back
DELAY = 0.2  # seconds that an operation takes at least: long enough for two to overlap, short for a person
FRONT, FRONT_LIMIT = "serverless", 30  # the daemon in front of serverless containers, and seconds until it answers
RESUMING = 300  # seconds in which dead machines and databases are back
# program: the Debian package that has it
PROGRAMS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "nft": "nftables",
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "/usr/lib/podman/netavark": "netavark",
    "mmdebstrap": "mmdebstrap",
    "apt-cacher-ng": "apt-cacher-ng",
    "docker-registry": "docker-registry",
    "skopeo": "skopeo",
}
Progress = Callable[[str], None]


def place_of(name: str) -> Place:
    """Raises WorldError for a name that cannot be part of a namespace's and a container's name."""
    if not NAME.fullmatch(name):
        raise WorldError(f"{name!r} is no name for a rehearsal: lower case letters and digits, at most 31")
    return Place(name)


def up(place: Place, *, machines: bool = True, progress: Progress = print) -> None:
    """Start what does not run; returns when the cloud's API answers. Raises WorldError."""
    if machines:
        check_machine()
        check_owner(place)
    if environment.was_started(place) and environment.has_machines(place) != machines:
        kind = "with" if environment.has_machines(place) else "without"
        raise WorldError(f"{place.name} was started {kind} machines: end it first (rehearsal down {place.name})")
    with _alone(place):
        again = environment.was_started(place)
        environment.remember(place, machines=machines)
        if machines:
            files.write(place.owner, str(place.folder))
            _start_surroundings(place, progress)
        storage = _start_storage(place, machines=machines)
        if again:
            storage.wait()  # a cloud that comes back goes on with what it was doing, maybe to a bucket
        _start_cloud(place, progress, machines=machines)
        storage.wait()
        if machines:
            _wait_for_front(place)


def check_machine() -> None:
    """Raises WorldError that names everything the machine lacks."""
    if os.geteuid():
        raise WorldError(
            "network namespaces and containers need root: run it with sudo, or the cloud alone with --no-machines"
        )
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=_path())]
    if missing:
        raise WorldError(f"programs are missing: apt-get install {' '.join(missing)}")


def check_owner(place: Place) -> None:
    """Raises WorldError where another state folder has a rehearsal of this name with machines."""
    if folder := place.foreign():
        state = folder.parents[1]
        raise WorldError(
            f"{place.name} is already rehearsed on this machine, from the state folder {state}."
            f" Use that one (STAGECRAFT_STATE={state}), or end it: STAGECRAFT_STATE={state} make down STAGE={place.name}"
        )


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Two `up` of one rehearsal come one after the other."""
    files.private_folder(place.folder)
    with (place.folder / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_surroundings(place: Place, progress: Progress) -> None:
    """What the cloud and the machines need around them. The image of most machines is made here, while somebody sees it."""
    images.ensure(images.DEFAULT, progress)
    packages.start(place)
    address, port = packages.targets(place)[packages.APT]
    postgres_image.ensure(progress, apt_proxy=f"http://{address}:{port}")
    network.make_internet(place)
    from rehearsal.world import registry  # here: its libraries load for half a second, in every command

    registry.Server(place).start()
    names.prepare(place)
    serverless.make(place)
    for name, module, netns in (
        ("names", "rehearsal.world.names", None),
        ("forward", "rehearsal.forward", None),
        (FRONT, "rehearsal.serverless.front", serverless.router(place)),
    ):
        if processes.start(place, python(name, module, place.name, netns=netns)):
            progress(f"{name} started")


def _start_storage(place: Place, *, machines: bool) -> Storage:
    """Object Storage, which gets ready while the cloud starts."""
    from rehearsal.world import storage  # here: its library loads for half a second, in every command

    server = storage.Storage(place, machines=machines)
    server.start()
    return server


def python(name: str, module: str, *arguments: str, netns: str | None = None) -> Daemon:
    """One of the rehearsal's own modules as a daemon."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return Daemon(name, (sys.executable, "-m", module, *arguments), netns, {"PYTHONPATH": path})


def _start_cloud(place: Place, progress: Progress, *, machines: bool) -> None:
    where = ["--folder", str(place.cloud), "--delay", str(DELAY)]
    if machines:
        where += ["--host", str(API), "--port", "443", "--rest-host", str(REST), "--rest-port", "443"]
        where += ["--world", "rehearsal.world.linux:create"]
    else:
        where += ["--host", "127.0.0.1", "--port", str(_last_port(place))]
        where += ["--world", "rehearsal.world.buckets:create"]
    netns = place.netns("internet") if machines else None
    process = processes.start(place, python(CLOUD, "rehearsal.cloud", *where, netns=netns))
    if process is None:
        progress("the cloud's API is up already")
        try:
            admin.ask(place.cloud, "resume", patience=RESUMING)
        except admin.AdminError as error:
            raise WorldError(f"what has died of {place.name} cannot be brought back: {error}") from error
        return
    progress("waiting for the cloud's API")
    ask = functools.partial(admin.ask, place.cloud, "status")
    if error := processes.refusal(place, CLOUD, ask, API_LIMIT, (admin.AdminError,)):
        log = processes.log_file(place, CLOUD)
        if (status := process.poll()) is None:
            raise WorldError(f"the emulated cloud does not answer within {API_LIMIT} s ({error}); see {log}")
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise WorldError(
            f"the emulated cloud ended with {how} before it answered; the end of {log}:\n{last_lines(log)}"
        )


def _wait_for_front(place: Place) -> None:
    """Serverless containers have an address that answers. Raises WorldError."""
    ask = functools.partial(control.ask, place, "status")
    if error := processes.refusal(place, FRONT, ask, FRONT_LIMIT, (WorldError,)):
        log = processes.log_file(place, FRONT)
        raise WorldError(f"{error}; the end of {log}:\n{last_lines(log)}")


def _last_port(place: Place) -> int:
    """The port that the cloud had before, so that variables printed earlier stay right; 0 takes a free one."""
    try:
        return int(files.read_json(place.cloud / "env.json", place.name)["YC_ENDPOINT"].rpartition(":")[2])
    except FileNotFoundError:
        return 0


def last_lines(log: Path, count: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def down(place: Place) -> dict[str, int]:
    """Remove everything of a rehearsal, also one that is broken or half-made; how many of each there were.

    Raises WorldError with what is left, if anything is. The cache (images, packages) stays."""
    # First what would make new things; containers' own monitors (conmon) end with their containers.
    removed = {"processes": processes.end(processes.marked(place), patience=1)}
    removed["containers"] = len(containers := _containers(place))
    if containers:
        shell.podman("rm", "--force", "--time", "0", "--volumes", *containers)
    removed["processes"] += processes.end(processes.of_rehearsal(place), patience=1)
    if place.pulled.exists():
        shell.podman("rmi", "--ignore", *set(place.pulled.read_text().split()))
    removed["mounts"] = len(mounts := _mounts(place))
    for mount in mounts:
        shell.run("umount", "--lazy", mount)
    removed["namespaces"] = len(namespaces := _namespaces(place))
    for netns in namespaces:
        shell.run("ip", "netns", "del", netns)
    seaweed.remove_sockets(place)
    shutil.rmtree(place.folder, ignore_errors=True)
    if not place.foreign():  # what is left of a rehearsal whose folder was deleted goes too
        place.owner.unlink(missing_ok=True)
    if left := leftovers(place):
        raise WorldError(f"{place.name}: still there: " + "; ".join(f"{k}: {', '.join(v)}" for k, v in left.items()))
    return removed


def leftovers(place: Place) -> dict[str, list[str]]:
    """What is on the machine of a rehearsal, by kind; empty when nothing is."""
    found = {
        "containers": _containers(place),
        "namespaces": _namespaces(place),
        "processes": [str(pid) for pid in sorted(processes.of_rehearsal(place))],
        "mounts": _mounts(place),
        "folders": [str(place.folder)] if place.folder.exists() else [],
    }
    return {kind: names for kind, names in found.items() if names}


def _containers(place: Place) -> list[str]:
    """By label and by name: a container that was being made may have only one of them."""
    if os.geteuid() or place.foreign() or not shutil.which("podman"):
        return []
    listed = json.loads(shell.podman("ps", "--all", "--external", "--format", "json") or "[]")
    key, _, value = place.label.partition("=")
    return [
        item["Id"][:12]
        for item in listed
        if (item.get("Labels") or {}).get(key) == value or any(n.startswith(place.prefix) for n in item["Names"] or ())
    ]


def _namespaces(place: Place) -> list[str]:
    names = set() if place.foreign() else shell.namespaces()
    return sorted(name for name in names if name.startswith(place.prefix))


def _mounts(place: Place) -> list[str]:
    """Mount points inside the rehearsal's folder, innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{place.folder}/")), reverse=True)
