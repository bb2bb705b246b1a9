"""The rehearsed partners stage, as the tests of this folder ask it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import Any

import commands
from commands import ROOT

from rehearsal import places

STAGE = "partners"
NETWORK = ROOT / "inventories" / STAGE / "group_vars" / "all" / "network.yml"
inside = functools.partial(commands.inside, STAGE)
journal = functools.partial(commands.journal, STAGE)


def as_root(host: str, script: str) -> subprocess.CompletedProcess[str]:
    """What a shell script came to that root ran on a machine."""
    return inside("ssh", "-F", str(places.state() / STAGE / "ssh_config"), host, "sudo", "sh", input=script)


def said(host: str, script: str) -> str:
    """What a script of root says that has to succeed."""
    done = as_root(host, script)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def prometheus(query: str) -> list[dict[str, Any]]:
    """What the stage's Prometheus answers to a query without spaces. The password is on no command line."""
    answer = said(
        "monitoring-1",
        'printf \'user = "prometheus:%s"\' "$(cat /etc/prometheus/passwords/prometheus)" | curl -sS --fail --config -'
        f" 'https://monitoring-1.partners.internal:9090/api/v1/query?query={query}'",
    )
    found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
    return found


def report(command: str, code: int, *words: str) -> dict[str, Any]:
    """The report of `stagecraft plan` or `drift`, which has to end with this exit code."""
    line = [sys.executable, "-m", "stagecraft", command, STAGE, "--json", *words]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout)
