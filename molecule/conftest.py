"""What questions of several scenarios have in common."""

import pytest
from waiting import wait_for

NO_CAPABILITIES = "CapEff:\t0000000000000000"
# curl's exit codes for a connection that the server ends in the handshake, or just after it
BROKEN_OFF = (16, 35, 55, 56)


def read_journal(host, only=""):
    """What the journal holds of what the options select. A process may have ended before its last line is stored."""
    return host.check_output(f"journalctl --sync; journalctl --no-pager -o cat {only}")


@pytest.fixture
def journal(host):
    """A function of journalctl's options: what is written there."""
    return lambda only="": read_journal(host, only)


@pytest.fixture
def turned_away(host):
    """A function of a curl command: fails unless the server ends the connection before it says anything."""

    def ask(command: str) -> None:
        answer = host.run(command)
        assert answer.rc in BROKEN_OFF and not answer.stdout, answer.stderr

    return ask


@pytest.fixture
def confined(host):
    """A function of a unit and of paths: fails unless the unit's commands can write none of them, and have no capability."""

    def ask(unit: str, *paths: str) -> None:
        said = writes(host, unit, paths)
        assert len(said) == len(paths) and all("Read-only file system" in line for line in said), said
        # Right after a start, systemd's own process is the unit's main one until it becomes the program.
        wait_for(f"{unit} without capabilities", lambda: NO_CAPABILITIES in status(host, unit), seconds=10)

    return ask


def status(host, unit):
    """What the kernel says of the main process of a unit."""
    return host.run(f"cat /proc/$(systemctl show -p MainPID --value {unit})/status").stdout


def writes(host, unit, paths):
    """What a command that the unit runs beside its service says when it writes there."""
    folder = f"/run/systemd/system/{unit}.service.d"
    probe = f"[Service]\\nExecStartPre=-/bin/touch {' '.join(paths)}\\n"
    since = host.check_output("date +@%s.%N")
    host.check_output(f"mkdir -p {folder}; printf '{probe}' > {folder}/probe.conf")
    try:
        host.check_output(f"systemctl daemon-reload; systemctl restart {unit}")
        return read_journal(host, f"-u {unit} -t touch --since {since}").splitlines()
    finally:
        host.check_output(f"rm -r {folder}; systemctl daemon-reload; systemctl restart {unit}")
