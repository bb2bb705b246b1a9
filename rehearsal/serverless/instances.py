"""One instance of a revision: a podman container in a network namespace of its own. Everything here blocks."""

from __future__ import annotations

import errno
import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from operator import itemgetter
from pathlib import Path

from rehearsal import files
from rehearsal.places import Place
from rehearsal.serverless import network, served
from rehearsal.serverless.served import Revision
from rehearsal.world import WorldError, shell

PORT = 8080  # what the environment variable PORT says
TEMPORARY = "512m"  # the product's limit for temporary files, which are in the instance's memory
LAST_LINES = 15
KEPT_LOGS = 100  # more than the instances that a machine runs at once
PROCESSES = Path("/proc")
LABEL = "stagecraft.serverless"  # the revision whose instance a container is
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # where Debian, and most that is not, has whom it trusts


@dataclass(frozen=True)
class Instance:
    """A running instance. `pid` is its first process, `kills` the kernel's file that counts its kills for memory, `freezer`
    the one that gives its processes time or none: cgroup v1's `freezer.state`, or v2's `cgroup.freeze`."""

    id: str
    revision: str
    address: IPv4Address
    pid: int
    kills: Path
    freezer: Path

    def freeze(self) -> None:
        """Give its processes no time until they are thawed; they keep their memory, and nothing tells them."""
        self._set("FROZEN", "1")

    def thaw(self) -> None:
        """Let its processes go on."""
        self._set("THAWED", "0")

    def _set(self, first: str, second: str) -> None:
        try:
            self.freezer.write_text(first if self.freezer.name == "freezer.state" else second)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):  # it has ended
                raise

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed one of its processes for memory; known until its container is cleaned up."""
        try:
            return "oom_kill 0" not in self.kills.read_text().splitlines()
        except OSError:
            return False


class Instances:
    """Starts the instances of one rehearsal, finds them again, and removes what is left of them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._folder = served.folder(place)
        self._lock = threading.Lock()
        self._taken: set[IPv4Address] = set()

    def start(self, revision: Revision) -> Instance:
        """Start one; whether it answers is for its caller to find out. Raises WorldError."""
        ident, address = f"run-{secrets.token_hex(6)}", self._address()
        environment = self._folder / f"{ident}.env"
        try:
            netns = network.join(self._place, ident, address, revision.vpc)
            several = _write_environment(environment, revision)
            self._make_room_for_log(files.private_folder(log_folder(self._place)))
            options = self._options(revision, ident, netns, environment, several)
            variables = {"CONTAINERS_CONF": str(shell.CONTAINERS_CONF), **several}
            shell.run("podman", "run", *options, revision.image, *revision.args, env=variables)
            return instance_of(ident, revision.id, address, int(self._pidfile(ident).read_text()))
        except (WorldError, OSError, ValueError) as error:  # the last: no process id in its file
            self.remove(ident, address)
            raise WorldError(f"an instance of revision {revision.id} does not start: {error}") from error
        finally:
            environment.unlink(missing_ok=True)

    def remove(self, ident: str, address: IPv4Address | None = None) -> None:
        """Remove an instance at once, in whatever state it is; its log stays."""
        shell.podman("rm", "--force", "--ignore", "--time", "0", "--volumes", self._place.container(ident))
        network.leave(self._place, ident)
        self._pidfile(ident).unlink(missing_ok=True)
        with self._lock:
            self._taken.discard(address)

    def adopt(self) -> Iterator[Instance]:
        """The instances that an earlier front has left and that still run; what is left of the others goes."""
        listed = json.loads(shell.podman("ps", "--all", "--filter", f"label={LABEL}", "--format", "json") or "[]")
        known = set()
        for item in listed:
            name = item["Names"][0]
            if not name.startswith(self._place.prefix):
                continue
            ident = name.removeprefix(self._place.prefix)
            known.add(ident)
            address = network.address_of(self._place, ident)
            if item["State"] not in ("running", "paused") or address is None:  # one that is frozen may be either
                self.remove(ident)
                continue
            self._taken.add(address)
            yield instance_of(ident, item["Labels"][LABEL], address, item["Pid"])
        for netns in shell.namespaces():
            ident = netns.removeprefix(self._place.prefix)
            if netns.startswith(self._place.netns("run-")) and ident not in known:
                network.leave(self._place, ident)

    def why_ended(self, instance: Instance) -> str:
        """What became of an instance whose first process has ended, with the last lines of its output."""
        name = self._place.container(instance.id)
        status = shell.podman("wait", "--interval", "50ms", name).strip()
        return f"it ended with exit status {status}. Its last lines:\n{self.last_lines(instance)}"

    def last_lines(self, instance: Instance) -> str:
        """The end of what an instance has printed."""
        return "\n".join(printed(self._place, instance.id)[-LAST_LINES:]) or "(it has printed nothing)"

    def _address(self) -> IPv4Address:
        with self._lock:
            for number in range(int(network.FIRST), int(network.LAST)):
                if (address := IPv4Address(number)) not in self._taken:
                    self._taken.add(address)
                    return address
        raise WorldError("a rehearsal has no address left for another instance")

    def _make_room_for_log(self, folder: Path) -> None:
        """Instances come and go; the logs of the last ones are kept."""
        with self._lock:
            logs = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in logs[:-KEPT_LOGS]:
                old.unlink()

    def _pidfile(self, ident: str) -> Path:
        return self._folder / f"{ident}.pid"

    def _options(
        self, revision: Revision, ident: str, netns: str, environment: Path, several: dict[str, str]
    ) -> list[str]:
        memory = f"{revision.memory >> 20}m"
        entrypoint = [f"--entrypoint={json.dumps(revision.command)}"] if revision.command else []
        return [
            "--detach",
            "--pull=never",
            f"--name={self._place.container(ident)}",
            f"--label={self._place.label}",
            f"--label={LABEL}={revision.id}",
            f"--network=ns:{shell.NETNS / netns}",
            f"--dns={revision.vpc.resolver if revision.vpc else network.RESOLVER}",
            f"--env-file={environment}",
            *(f"--env={name}" for name in several),
            # Memory without swap, and no more cores than there are; the fraction is what it gets when others want more.
            f"--memory={memory}",
            f"--memory-swap={memory}",
            f"--cpus={min(revision.cores, os.cpu_count() or 1)}",
            f"--cpu-shares={max(2, 1024 * revision.cores * revision.core_fraction // 100)}",
            "--ulimit=host",
            "--security-opt=no-new-privileges",
            # The product lets write everywhere, into memory. Here it is /tmp only: what wants more is found before that.
            *("--read-only", "--read-only-tmpfs=false", f"--tmpfs=/tmp:rw,mode=1777,size={TEMPORARY}"),
            # What the rehearsal's services show is signed by its own authority: that is whom this internet trusts.
            f"--volume={self._place.cloud / 'ca.pem'}:{AUTHORITIES}:ro",
            f"--log-opt=path={log_folder(self._place) / f'{revision.container}.{ident}.log'}",
            f"--pidfile={self._pidfile(ident)}",
            *([f"--workdir={revision.working_dir}"] if revision.working_dir else []),
            *entrypoint,
        ]


def log_folder(place: Place) -> Path:
    """Where what instances print is, also of those that have ended: `<container>.<instance>.log`, as podman's `k8s-file`
    driver writes it."""
    return served.folder(place) / "logs"


def entries(place: Place, container: str = "*", ident: str = "*") -> list[tuple[str, str]]:
    """What the instances of a container, or one of them, have printed: when (RFC 3339) and the line; oldest first."""
    found = []
    for file in log_folder(place).glob(f"{container}.{ident}.log"):
        with suppress(FileNotFoundError):  # it had to make room
            # time, stream, and F or P for a full or a partial line come before the text
            found += [line.split(" ", 3) for line in file.read_text(errors="replace").splitlines()]
    return sorted(((words[0], words[-1]) for words in found), key=itemgetter(0))


def printed(place: Place, ident: str) -> list[str]:
    """The lines that an instance has printed."""
    return [text for _, text in entries(place, ident=ident)]


def instance_of(ident: str, revision: str, address: IPv4Address, pid: int) -> Instance:
    """An instance with the control groups that its first process is in."""
    try:
        groups = [line.split(":", 2)[1:] for line in (PROCESSES / str(pid) / "cgroup").read_text().splitlines()]
    except OSError:
        groups = []  # it has ended already
    paths = {name: path.strip("/") for names, path in groups for name in names.split(",")}

    def file(controller: str, first: str, second: str) -> Path:
        """A controller's file, as cgroup v1 calls it or as v2 does; none where the group would be everybody's."""
        found = f"{controller}/{paths[controller]}" if controller in paths else paths.get("", "")
        if found in ("", f"{controller}/"):
            return Path("/proc/nothing/at/all")
        return Path("/sys/fs/cgroup") / found / (first if controller in paths else second)

    kills = file("memory", "memory.oom_control", "memory.events")
    return Instance(ident, revision, address, pid, kills, file("freezer", "freezer.state", "cgroup.freeze"))


def _write_environment(path: Path, revision: Revision) -> dict[str, str]:
    """Write the variables to a file that nobody else may read: there are secrets among them. The file has one line a
    variable; those with several lines are returned, to go by the environment of podman itself."""
    # OpenSSL looks up authorities by their hash, beside the bundle that this internet replaces.
    variables = {"SSL_CERT_FILE": AUTHORITIES, **revision.environment, "PORT": str(PORT)}
    several = {name: value for name, value in variables.items() if "\n" in value}
    files.write(path, "".join(f"{name}={value}\n" for name, value in variables.items() if name not in several))
    return several
