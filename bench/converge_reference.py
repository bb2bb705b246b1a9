"""The reference of [converge]: the tasks of our roles as they would be with one `copy` a file.

It is made from the roles and from what they have written, so that it stays the same state when they change: packages,
accounts, units and programs are brought by their own tasks, with Ansible's modules where the role has one of ours. What
only looks is left out: argument specs, assertions, proofs that a service answers. Facts are asked for once.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import ROOT
from rehearsal.world import shell

COLLECTION = "stagecraft.platform."
IMPORT = "ansible.builtin.import_tasks"
FACTS = "ansible.builtin.setup"
SUBSET = ["!all", "!min", "default_ipv4", "distribution", "python"]  # a template that needs more fails
UNIT = "ansible.builtin.systemd_service"
LOOKS = {FACTS, "ansible.builtin.assert", "ansible.builtin.uri", "ansible.builtin.wait_for"}
MANIFESTS = "for tree in /var/lib/stagecraft/trees/*.json; do basename $tree .json; tr -d '\\n' < $tree; echo; done"
PACKAGED = "cat /var/lib/dpkg/info/*.list"


@dataclass(frozen=True)
class Written:
    """What the roles have written: its paths by tree, each with owner and mode, and the content below `folder`."""

    trees: dict[str, list[str]]
    members: dict[str, tarfile.TarInfo]
    folder: Path

    @classmethod
    def on(cls, machine: str, folder: Path) -> Written:
        """Fetch it from a container. Folders that a package brings need no task, and are left out."""
        lines = shell.podman("exec", machine, "sh", "-c", MANIFESTS).splitlines()
        packaged = set(shell.podman("exec", machine, "sh", "-c", PACKAGED).splitlines())
        trees = {}
        for name, manifest in zip(lines[::2], lines[1::2], strict=True):
            files = json.loads(manifest)["files"]
            trees[name] = sorted({str(Path(file).parent) for file in files} - packaged) + files
        paths = sorted({path.lstrip("/") for tree in trees.values() for path in tree})
        tar = ("tar", "--create", "--file=/root/written.tar", "--directory=/", "--no-recursion", "--files-from=-")
        shell.podman("exec", "--interactive", machine, *tar, stdin="\n".join(paths))
        shell.podman("cp", f"{machine}:/root/written.tar", folder / "written.tar")
        with tarfile.open(folder / "written.tar") as archive:
            archive.extractall(folder / "written", filter="tar")
            return cls(trees, {f"/{member.name}": member for member in archive}, folder / "written")

    def tasks(self, tree: str) -> list[dict[str, Any]]:
        """One task for each folder, file and link of a tree."""
        return [self.task(path, self.members[path]) for path in self.trees[tree]]

    def task(self, path: str, member: tarfile.TarInfo) -> dict[str, Any]:
        options = {"dest": path, "owner": member.uname, "group": member.gname}
        if member.issym():
            return {"ansible.builtin.file": options | {"src": member.linkname, "state": "link", "follow": False}}
        options["mode"] = f"{member.mode:04o}"
        if member.isdir():
            return {"ansible.builtin.file": options | {"state": "directory"}}
        return {"ansible.builtin.copy": options | {"src": f"{self.folder}{path}"}}


def write(ours: Path, reference: Path, written: Written) -> None:
    """Write a playbook for the same hosts with the same variables, and its roles beside it in `roles`."""
    play = yaml.safe_load(ours.read_text())[0]
    names = [entry["role"].removeprefix(COLLECTION) for entry in play.pop("roles")]
    for name in names:
        role, copy = ROOT / "roles" / name, reference.parent / "roles" / name
        (copy / "tasks").mkdir(parents=True)
        for part in ("defaults", "vars", "files", "handlers"):
            if (role / part).exists():
                (copy / part).symlink_to(role / part)
        tasks = tasks_of(role, read(role, "main.yml"), written)
        (copy / "tasks" / "main.yml").write_text(yaml.safe_dump(tasks, sort_keys=False))
    play |= {"pre_tasks": [{FACTS: {"gather_subset": SUBSET}}], "roles": names}
    reference.write_text(yaml.safe_dump([play], sort_keys=False))


def read(role: Path, name: str) -> list[dict[str, Any]]:
    """The tasks of a file of a role."""
    return list(yaml.safe_load((role / "tasks" / name).read_text()))


def tasks_of(role: Path, found: list[dict[str, Any]], written: Written) -> list[dict[str, Any]]:
    """What the reference has for these tasks of a role, and for those that they import or hold.

    Raises RuntimeError for a module of ours without a like."""
    tasks: list[dict[str, Any]] = []
    for task in found:
        if IMPORT in task or "block" in task:
            inner = read(role, task.pop(IMPORT)) if IMPORT in task else task.pop("block")
            block = tasks_of(role, inner, written)
            tasks += [task | {"block": block}] if block else []
        elif module := next((key for key in task if key.startswith(COLLECTION)), ""):
            options = task.pop(module)
            tasks += [one | task for one in stock(role, module.removeprefix(COLLECTION), options, written)]
        elif not (LOOKS & task.keys() or task.get("changed_when") is False):
            tasks.append(task)
    return tasks


def stock(role: Path, module: str, options: dict[str, Any], written: Written) -> list[dict[str, Any]]:
    """The same by Ansible's own modules: a task for each file, each list of packages, each unit."""
    if module == "config_tree":
        return written.tasks(options.get("name", role.name))
    if module == "packages":
        there = {"name": options["present"], "install_recommends": False, "policy_rc_d": 101}
        if "refresh" in options:
            there |= {"update_cache": True, "cache_valid_time": 86400}
        gone = {"name": options.get("absent"), "state": "absent", "purge": True}
        return [{"ansible.builtin.apt": one} for one in (there, gone) if one["name"]]
    if module == "systemd_units":
        unit = {"name": "{{ item }}", "state": "started", "enabled": True}
        # systemd skips what cannot run in a container, and Ansible would call each try a change.
        changed = "unit is changed and unit.status.ConditionResult == 'yes'"
        started = {UNIT: unit, "loop": options["names"], "register": "unit", "changed_when": changed}
        away = [{UNIT: {"name": name, "state": "stopped", "enabled": False}} for name in options.get("stopped", ())]
        return [*away, started]
    if module == "python_environment":
        # Both run on what our role has made; that it is there is all that the reference asks.
        made = {"argv": ["pip", "install"], "creates": f"{options['path']}/*/requirements.lock"}
        return [{"ansible.builtin.command": made}]
    raise RuntimeError(f"roles/{role.name}: nothing is known that does what {COLLECTION}{module} does; add it here")
