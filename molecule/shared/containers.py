"""The systemd containers that role tests converge: containers.py up NAME=FAMILY... | down NAME..."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rehearsal.world import shell
from rehearsal.world.images import ensure

SETTINGS = "/opt/molecule"  # where a container finds what the machine's pip needs
STARTED = 180  # seconds until systemd must have finished starting


def main(verb: str, names: list[str]) -> None:
    """`up` leaves what is running alone, so that a scenario can be converged again and again."""
    with ThreadPoolExecutor(4) as pool:
        if verb == "down":
            list(
                pool.map(
                    lambda name: shell.podman("rm", "--force", "--time", "0", "--volumes", "--ignore", name), names
                )
            )
            return
        wanted = dict(name.split("=", 1) for name in names)
        images = {family: ensure(family, print) for family in sorted(set(wanted.values()))}
        list(pool.map(lambda name: up(name, images[wanted[name]]), wanted))


def up(name: str, image: str) -> None:
    """Start one container and wait for its systemd. SYS_ADMIN makes the sandboxing of units real."""
    if name in shell.podman("ps", "--format", "{{.Names}}").split():
        return
    shell.podman("rm", "--force", "--time", "0", "--volumes", "--ignore", name)
    scenario = os.environ["STAGECRAFT_MOLECULE_SCENARIO"]
    without_cloud_init = Path(os.environ["STAGECRAFT_MOLECULE_STATE"]) / "cloud-init.disabled"
    without_cloud_init.touch()
    options = ["--detach", "--name", name, "--hostname", name, "--label", f"stagecraft.molecule={scenario}"]
    options += ["--systemd", "always", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
    options += ["--ulimit", "host", "--network", "bridge", *pip_settings()]
    options += ["--volume", f"{without_cloud_init}:/etc/cloud/{without_cloud_init.name}:ro"]
    shell.podman("run", *options, image, "/sbin/init")
    deadline = time.monotonic() + STARTED
    while time.monotonic() < deadline:
        # `degraded` is fine: a unit that cannot run in a container is no concern of the role under test.
        state = shell.podman("exec", name, "sh", "-c", "systemctl is-system-running || true").strip()
        if state in ("running", "degraded"):
            # On a real machine cloud-init makes the host keys.
            shell.podman("exec", name, "sh", "-c", "ssh-keygen -A && systemctl reset-failed && systemctl restart ssh")
            return
        time.sleep(0.2)
    raise SystemExit(f"{name}: systemd has not started within {STARTED} s; it says {state!r}")


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


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
