"""What questions of several scenarios have in common."""

import pytest


@pytest.fixture
def writes_of(host):
    """A function of a unit and of paths: what a command that the unit runs beside its service says when it writes there."""

    def ask(unit: str, *paths: str) -> list[str]:
        folder = f"/run/systemd/system/{unit}.service.d"
        probe = f"[Service]\\nExecStartPre=-/bin/touch {' '.join(paths)}\\n"
        since = host.check_output("date +@%s.%N")
        host.check_output(f"mkdir -p {folder}; printf '{probe}' > {folder}/probe.conf")
        try:
            host.check_output(f"systemctl daemon-reload; systemctl restart {unit}")
            said = host.check_output(f"journalctl -u {unit} -o cat -t touch --since {since}")
        finally:
            host.check_output(f"rm -r {folder}; systemctl daemon-reload; systemctl restart {unit}")
        return said.splitlines()

    return ask
