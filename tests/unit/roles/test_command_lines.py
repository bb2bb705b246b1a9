"""No task gives a secret to a program where others on the machine can see it."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILES = sorted(
    [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml")]
)
SECRET = re.compile(r"secret|password|token|passphrase|_key\b|\bkey\.|\.key\b", re.IGNORECASE)
CONDITION = re.compile(r"\bif\b[^)\]}]*")  # what is only asked for is not shown
SHOWN = ("argv", "cmd", "_raw_params")


def tasks(found: list) -> list[dict]:
    """Every task below these plays, tasks and blocks."""
    waiting, every = list(found), []
    while waiting:
        one = waiting.pop()
        every.append(one)
        for part in ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            waiting += one.get(part) or []
    return every


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_secret_is_in_an_environment_or_an_argument(file):
    """Ansible writes `environment` into the command line of the shell that it starts."""
    for task in tasks(yaml.safe_load(file.read_text()) or []):
        assert not SECRET.search(str(task.get("environment", ""))), task
        command = task.get("ansible.builtin.command") or task.get("ansible.builtin.shell") or {}
        shown = command if isinstance(command, str) else [command.get(name, "") for name in SHOWN]
        assert not SECRET.search(CONDITION.sub("", str(shown)).replace("--key-from-stdin", "")), task
