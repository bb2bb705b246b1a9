"""The systemd containers that role tests converge.

What role base gives a real machine is in their images too, but for that role's own test: the authority is trusted, and
apt knows what there is. Such an image is made once a day.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import certificates

from rehearsal.world import shell
from rehearsal.world.images import ensure

SETTINGS = "/opt/molecule"  # where a container finds what the machine's pip needs
CA = "/usr/local/share/ca-certificates/stagecraft-molecule.crt"
STARTED = 180  # seconds until systemd must have finished starting
LABEL = "stagecraft.molecule"
BARE = ("base",)  # this role does itself what the image has for the others
HOST_KEYS = "ssh-keygen -A"  # on a real machine cloud-init makes them
RECIPE = f"""\
FROM {{base}}
COPY --chmod=644 ca.pem {CA}
RUN update-ca-certificates && apt-get update --quiet --quiet && {HOST_KEYS}
"""


def up(scenario: str, state: Path, wanted: dict[str, str]) -> None:
    """Start and prepare a scenario's containers, families by name; what runs is left alone, so that a scenario can be
    converged again and again. `state` is the folder that all scenarios of a run share."""
    certificates.issue(state / "tls", list(wanted))
    image = ensure if scenario in BARE else (lambda family: prepared(family, state / "tls" / "ca.pem"))
    images = {family: image(family) for family in sorted(set(wanted.values()))}
    running = shell.podman("ps", "--format", "{{.Names}}").split()
    with ThreadPoolExecutor(4) as pool:
        new = [name for name in wanted if name not in running]
        list(pool.map(lambda name: start(name, images[wanted[name]], scenario, state), new))


def down(scenario: str, state: Path) -> None:
    """Remove the containers of a scenario with their volumes, whatever has left them, and what Molecule has noted."""
    shutil.rmtree(state / "molecule" / scenario, ignore_errors=True)
    if left := shell.podman("ps", "--all", "--quiet", "--filter", f"label={label(scenario, state)}").split():
        shell.podman("rm", "--force", "--time", "0", "--volumes", *left)


def label(scenario: str, state: Path) -> str:
    return f"{LABEL}={scenario} in {state}"


def start(name: str, image: str, scenario: str, state: Path) -> None:
    """Start one container, wait for its systemd and prepare it. SYS_ADMIN makes the sandboxing of units real."""
    shell.podman("rm", "--force", "--time", "0", "--volumes", "--ignore", name)
    without_cloud_init = state / "cloud-init.disabled"
    without_cloud_init.touch()
    options = ["--detach", "--name", name, "--hostname", name, "--label", label(scenario, state)]
    options += ["--systemd", "always", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
    options += ["--ulimit", "host", "--network", "bridge", *pip_settings()]
    options += ["--volume", f"{without_cloud_init}:/etc/cloud/{without_cloud_init.name}:ro"]
    shell.podman("run", *options, image, "/sbin/init")
    started(name)
    if scenario in BARE:
        shell.podman("exec", name, "sh", "-c", f"{HOST_KEYS} && systemctl reset-failed && systemctl restart ssh")


def prepared(family: str, ca: Path) -> str:
    """The image of a family with the authority and with today's lists of packages; those of other days go."""
    base, kept = ensure(family), f"localhost/stagecraft/molecule-{family}"
    made_of = (base, RECIPE, ca.read_text(), datetime.date.today().isoformat())
    image = f"{kept}:{hashlib.sha256(''.join(made_of).encode()).hexdigest()[:12]}"
    with (ca.parent / f"{family}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = shell.podman("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={kept}").split()
        if image not in there:
            recipe = RECIPE.format(base=base)
            shell.podman("build", "--squash", f"--tag={image}", "--file=-", ca.parent, stdin=recipe)
        for other in set(there) - {image}:
            with contextlib.suppress(shell.CommandError):  # a container that was kept has it still
                shell.podman("rmi", other)
    return image


def started(name: str) -> None:
    """Wait for a container's systemd. Raises SystemExit where it takes too long."""
    deadline = time.monotonic() + STARTED
    while time.monotonic() < deadline:
        # `degraded` is fine: a unit that cannot run in a container is no concern of the role under test.
        said = shell.podman("exec", name, "sh", "-c", "systemctl is-system-running || true").strip()
        if said in ("running", "degraded"):
            return
        time.sleep(0.2)
    raise SystemExit(f"{name}: systemd has not started within {STARTED} s; it says {said!r}")


def pip_settings() -> list[str]:
    """podman's options that give a container the machine's own pip settings, with the files and folders they name."""
    options = []
    for name, value in os.environ.items():
        if not name.startswith("PIP_"):
            continue
        if Path(value).exists():
            inside = f"{SETTINGS}/{name.lower()}"
            options += ["--volume", f"{value}:{inside}:ro"]
            value = inside
        options += ["--env", f"{name}={value}"]
    return options
