"""What the callback writes down of machines, from a real check of tasks as roles have them."""

from __future__ import annotations

import json
import subprocess

import yaml
from ansible_runs import command

from stagecraft.plan.make import WATCHING
from stagecraft.plan.model import Host, Origin, of_check

ORIGIN = Origin("small", "here", "folder", "commit", "declarations")


def check(variables: dict, tmp_path, text: str, serial: list | None = None) -> Host:
    """The report of one machine, from a check of a tree with one file of this text, and of a loop over two folders."""
    root = tmp_path / "root"
    tree = tmp_path / "templates" / "tree" / root.relative_to("/")
    tree.mkdir(parents=True, exist_ok=True)
    (tree / "app.conf").write_text(text)
    files = [str(tmp_path), str(tmp_path / "two")]
    tasks = [
        {
            "name": "Configure",
            "stagecraft.platform.config_tree": {
                "name": "app", "root": str(root), "owner": "{{ lookup('pipe', 'id -un') }}",
                "group": "{{ lookup('pipe', 'id -gn') }}", "manifests": str(tmp_path / "manifests"),
            },
            "notify": "Say it",
        },
        {"name": "Folders", "ansible.builtin.file": {"path": "{{ item }}", "state": "directory"}, "loop": files},
        {"name": "Nobody knows", "ansible.builtin.debug": {"msg": "hidden"}, "changed_when": True, "no_log": True},
    ]  # fmt: skip
    handlers = [{"name": "Say it", "ansible.builtin.debug": {"msg": "restarts"}, "changed_when": True}]
    play = {
        "hosts": "web-1",
        "connection": "local",
        "gather_facts": False,
        "serial": serial or [],
        "tasks": tasks,
        "handlers": handlers,
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    root.mkdir(exist_ok=True)
    written = tmp_path / "plan.json"
    more = {"STAGECRAFT_PLAN_FILE": str(written), **WATCHING}
    done = subprocess.run(
        [command("ansible-playbook"), "--check", "--diff", "-i", "web-1,", str(tmp_path / "play.yml")],
        env=variables | more, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert written.stat().st_mode & 0o777 == 0o600 and "hidden" not in written.read_text()
    told = json.loads(written.read_text())
    assert {task["serial"] for task in told["tasks"]} == {serial == [1]}
    (host,) = of_check(ORIGIN, told).hosts
    return host


def test_files_of_a_tree_and_of_a_loop_and_what_is_told_by_its_name_only(variables, tmp_path):
    host = check(variables, tmp_path, "one\n")
    assert host.name == "web-1" and not host.new
    assert host.files == (str(tmp_path / "root" / "app.conf"), str(tmp_path / "two"))
    assert host.tasks == ("Nobody knows", "Say it")
    assert not list((tmp_path / "root").iterdir()) and not (tmp_path / "two").exists()
    assert check(variables, tmp_path, "one\n", ["100%"]).digest == host.digest
    assert check(variables, tmp_path, "two\n", [1]).digest != host.digest, (
        "another content of the same file is another plan"
    )
