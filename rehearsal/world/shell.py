"""Running the machine's own programs: ip, nft, podman."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rehearsal.world import WorldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NETNS = Path("/run/netns")
CONTAINERS_CONF = Path(__file__).with_name("containers.conf")


class CommandError(WorldError):
    """A program refused. The text names it, what it was asked to do and its own last words; `said` has these alone."""

    def __init__(self, text: str, said: str = ""):
        super().__init__(text)
        self.said = " ".join(said.split()) or text


def run(*argv: str | Path, stdin: str | None = None, timeout: float = 300, env: Mapping[str, str] | None = None) -> str:
    """What the program prints. Raises CommandError when it is missing, fails, or runs longer than `timeout` seconds."""
    command = [str(word) for word in argv]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except FileNotFoundError:
        raise CommandError(f"{command[0]}: this program is not installed") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"{' '.join(command)[:300]}: no answer within {timeout:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise CommandError(f"{' '.join(command)[:300]}: exit status {done.returncode}: {said[-2000:]}", said[-2000:])
    return done.stdout


def ip(netns: str | None, *lines: str) -> None:
    """Apply `ip` commands in one namespace (None: the one this process is in), one run for all; stops at the first
    that fails."""
    if lines:
        run("ip", *(["-n", netns] if netns else []), "-batch", "-", stdin="\n".join(lines) + "\n")


def ip_json(netns: str | None, *words: str) -> Any:
    """What `ip -json …` shows in a namespace."""
    return json.loads(run("ip", *(["-n", netns] if netns else []), "-json", *words) or "[]")


def namespaces() -> set[str]:
    """The names of all network namespaces on this machine."""
    return {entry.name for entry in NETNS.iterdir()} if NETNS.is_dir() else set()


def inside(netns: str, *argv: str | Path, stdin: str | None = None, timeout: float = 300) -> str:
    """Run a program in a network namespace; unlike `ip netns exec` this leaves /sys and the cgroups visible."""
    return run("nsenter", f"--net={NETNS / netns}", "--", *argv, stdin=stdin, timeout=timeout)


@contextmanager
def entered(netns: str | None) -> Iterator[None]:
    """The calling thread is in a network namespace (None: stays where it is). A socket belongs for its whole life to
    the namespace in which it was created, so this is needed only around `socket()`."""
    if netns is None:
        yield
        return
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(NETNS / netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.setns(there, os.CLONE_NEWNET)
        finally:
            os.close(there)
        try:
            yield
        finally:
            os.setns(here, os.CLONE_NEWNET)
    finally:
        os.close(here)


def nft(netns: str, script: str) -> None:
    """Apply an nftables script in a namespace, all of it or nothing."""
    inside(netns, "nft", "-f", "-", stdin=script)


def podman(*argv: str | Path, stdin: str | None = None, timeout: float = 300, netns: str | None = None) -> str:
    """Run podman with the project's own settings: the machine's are neither read nor changed. It asks registries from the
    namespace `netns`."""
    enter = ("nsenter", f"--net={NETNS / netns}", "--") if netns else ()
    settings = {"CONTAINERS_CONF": str(CONTAINERS_CONF)}
    return run(*enter, "podman", *argv, stdin=stdin, timeout=timeout, env=settings)
