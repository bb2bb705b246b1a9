"""The controller's half, by real ansible: what a role's tree becomes, and what its author is told."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


class Role:
    """A role with one config_tree task, and a play over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = folder / "target"
        self.target.mkdir()
        (folder / "ansible.cfg").touch()

    def template(self, name: str, content: str) -> None:
        path = self.folder / "roles/demo/templates/tree" / str(self.target).lstrip("/") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def play(self, files=None, *flags: str, **variables) -> str:
        """Run the role; what ansible printed."""
        options = {"owner": os.getuid(), "group": os.getgid(), "manifests": str(self.folder / "manifests")}
        rules = {f"{self.target}/{name}": rule for name, rule in (files or {}).items()}
        tasks = self.folder / "roles/demo/tasks/main.yml"
        tasks.parent.mkdir(parents=True, exist_ok=True)
        task = {
            "stagecraft.platform.config_tree": {**options, "root": str(self.target), "files": rules},
            "register": "tree",
        }
        show = {"ansible.builtin.debug": {"var": "tree.changed_paths"}}
        tasks.write_text(yaml.safe_dump([task, show]))
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "roles": ["demo"],
            "vars": variables,
        }
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / 'collections'}:{sysconfig.get_path('purelib')}",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        }
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "play.yml", *flags]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def content(self) -> dict[str, str]:
        return {str(p.relative_to(self.target)): p.read_text() for p in sorted(self.target.rglob("*")) if p.is_file()}


@pytest.fixture
def role(tmp_path):
    return Role(tmp_path)


def test_a_tree_of_everything(role):
    role.template("main.conf.j2", "name {{ who }}\n{% if true %}\nyes\n{% endif %}\n")
    role.template("{kind}.d/{name}.conf.j2", "{{ item.name }}={{ item.value }}\n")
    role.template("raw.txt", "{{ not a template }}\n")
    role.template("off.j2", "{{ nobody_defines_this }}")
    role.template("secret.j2", "password: {{ password }}\n")
    files = {
        "{kind}.d/{name}.conf": {"each": [{"name": "a", "value": 1}, {"name": "b", "value": 2}]},
        "off": {"when": False},
        "secret": {"mode": "0600"},
        "empty/": {"mode": "0750"},
    }
    words = {"who": "Ann", "kind": "site", "password": "hunter2-hidden"}
    checked = role.play(files, "--check", "--diff", "-vvv", **words)
    assert role.content() == {} and "changed=1" in checked
    done = role.play(files, "--diff", "-vvv", **words)
    assert "+name Ann" in done and "changed=1" in done
    assert role.content() == {
        "main.conf": "name Ann\nyes\n",
        "raw.txt": "{{ not a template }}\n",
        "secret": "password: hunter2-hidden\n",
        "site.d/a.conf": "a=1\n",
        "site.d/b.conf": "b=2\n",
    }
    assert "hunter2-hidden" not in checked + done  # not even with -vvv
    again = role.play({**files, "{kind}.d/{name}.conf": {"each": [{"name": "b", "value": 3}]}}, **words)
    assert "site.d/a.conf" in again and "site.d/b.conf" in again and "main.conf" not in again
    assert "site.d/a.conf" not in role.content()


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("one\ntwo {{ nosuch.thing }}\nthree\n", 2, "'nosuch' is undefined"),
        ("one\n\n{% if %}\n", 3, "Expected an expression"),
        (
            "{% set a %}\nx\n{% endset %}\n{% for i in [1, 0] %}\n{% if true %}\n{{ 1 / i }}\n{% endif %}\n{% endfor %}\n",
            6,
            "division by zero",
        ),
        ("{{ [1]\n | first }}\n{{ 1 | nofilter }}\n", 3, "No filter named 'nofilter'"),
    ],
    ids=["undefined", "syntax", "in a block", "filter"],
)
def test_a_template_error_names_file_and_line(role, text, line, why):
    role.template("bad.conf.j2", text)
    said = role.play()
    assert f"bad.conf.j2, line {line} (for {role.target}/bad.conf)" in said and why in said
    assert role.content() == {}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"nowhere": {}}, "matches"),
        ({"a": {"modus": "0600"}}, "unknown key modus; known are each, group, mode"),
        ({"a": {"mode": 420}}, "has to be a quoted octal string"),
        ({"{name}": {"each": [{"name": "../up"}]}}, "cannot be part of a file name"),
        ({"{name}": {"each": [{"name": "x"}, {"name": "x"}]}}, "are the same file"),
    ],
    ids=["no match", "unknown key", "number as mode", "path as name", "twice"],
)
def test_a_wrong_rule_is_explained(role, files, why):
    role.template("a", "")
    role.template("{name}", "")
    said = role.play(files, name="b")
    assert why in said and "failed=1" in said
    assert role.content() == {}
