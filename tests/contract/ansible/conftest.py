"""Real runs of Ansible against an emulated cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from ansible_runs import ROOT, Run, command

from rehearsal import environment
from rehearsal.cloud import server


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    emulator = server.start(tmp_path_factory.mktemp("cloud"), delay=0.02)
    yield emulator
    emulator.faults.clear()
    emulator.stop()


@pytest.fixture
def short_folder():
    """A folder with a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="sc") as folder:
        yield Path(folder)


@pytest.fixture
def variables(cloud, tmp_path, short_folder):
    """The environment of a run: that of this process, without anybody's cloud, and with the emulated one."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("YC_", "ANSIBLE_"))}
    return (
        own
        | cloud.env
        | environment.OPERATORS
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "YC_METADATA_ADDR": "127.0.0.1:9",
            "TMPDIR": str(short_folder),
            "STAGECRAFT_TEST_MARK": f"mark-{short_folder.name}",
        }
    )


@pytest.fixture
def play(variables, tmp_path):
    """Run tasks, each whatever became of the one before, and return what happened."""

    def run(*tasks: dict, options: tuple[str, ...] = (), hosts: str = "localhost", **env: str) -> Run:
        numbered = [{**task, "register": f"r{n}", "ignore_errors": True} for n, task in enumerate(tasks)]
        file = tmp_path / "results.json"
        names = ", ".join(f"r{n}" for n in range(len(tasks)))
        keep = {
            "ansible.builtin.copy": {"content": f"{{{{ [{names}] | to_json }}}}", "dest": str(file), "mode": "0600"},
            "check_mode": False,
            "diff": False,
            "no_log": True,
            "run_once": True,
        }
        book = tmp_path / "play.yml"
        play = {"hosts": hosts, "connection": "local", "gather_facts": False, "tasks": [*numbered, keep]}
        book.write_text(yaml.safe_dump([play], sort_keys=False))
        done = subprocess.run(
            [command("ansible-playbook"), "-i", f"{hosts},", str(book), *options],
            cwd=ROOT,
            env=variables | env,
            capture_output=True,
            text=True,
            timeout=300,  # several minutes only on a machine that does much else
        )
        output = done.stdout + done.stderr
        assert file.exists(), output
        results = json.loads(file.read_text())
        file.unlink()
        return Run(done.returncode, output, results)

    return run
