"""What a run in check mode would change, in one file: resources of the cloud, and what is on machines."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan
type: aggregate
short_description: Write down what a check would change
description:
  - Of a playbook that runs with C(--check) the file says, as JSON, which resources would be created, changed, replaced and
    deleted, which are not declared, which files, packages and units of machines would change, what would restart or reload,
    which roles each play gives to which hosts, and which machines no role went through, because they are as the last run
    left them. C(stagecraft plan) makes its report of that.
  - It also has every resource as it would be and as it is, for C(stagecraft plan) to price.
  - No secret is in it. The file is readable by its owner only.
requirements:
  - enabled in C(callbacks_enabled)
  - C(inject_invocation) set to true; else what a handler does to which unit, and the paths of some files, are not known
options:
  path:
    description: The file. Without it nothing is written.
    type: str
    env:
      - name: STAGECRAFT_PLAN_FILE
author: [Stagecraft]
"""

import hashlib
import json
import os

from ansible.plugins.callback import CallbackBase
from ansible_collections.stagecraft.platform.plugins.plugin_utils import newcomers
from ansible_collections.stagecraft.platform.plugins.plugin_utils.progress import verb

RESOURCES = {"stagecraft.platform.yc_stack", "stagecraft.platform.lockbox_keys"}  # they return rows of resources
SERVICES = {f"ansible.builtin.{name}" for name in ("service", "systemd", "systemd_service")}
STATE = "stagecraft.platform.machine_state"
MACHINE = "compute_instance"
RESTARTS = {"restarted": "restart", "reloaded": "reload", "stopped": "stop", "started": "start"}


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stagecraft.platform.plan"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.plays, self.resources, self.undeclared, self.tasks, self.machines = [], [], [], [], {}
        self.there, self.serial, self.sides, self.as_left = set(), False, {}, set()

    def v2_playbook_on_play_start(self, play):
        self.plays.append((play.hosts, newcomers.named(play)))
        self.serial = any(str(size) != "100%" for size in play.serial)

    def v2_runner_on_ok(self, result):
        found = result.result
        if result.task.resolved_action in RESOURCES:
            rows = [row for row in found.get("results", ()) if verb(row) != "unchanged"]
            self.resources += [resource(row) for row in rows]
            self.sides |= {
                row["item"]: sides(row) for row in found.get("results", ()) if {"declared", "was"} & row.keys()
            }
            machines = [row for row in found.get("results", ()) if row.get("item", "").startswith(f"{MACHINE} ")]
            names = {row["item"].partition(" ")[2]: row for row in machines}
            self.there |= {name for name, row in names.items() if verb(row) not in ("created", "failed")}
            self.machines |= {name: labels(row) for name, row in names.items() if verb(row) in ("created", "replaced")}
            self.undeclared += [row for row in found.get("undeclared", ()) if row not in self.undeclared]
            return
        if result.task.resolved_action == STATE and found.get("as_left"):
            self.as_left.add(result.host.get_name())
        for one in found.get("results", [found]):  # those of a loop, or of the task
            if one.get("changed"):
                self.tasks.append({"host": result.host.get_name(), "serial": self.serial, **task(result.task, one)})

    def v2_playbook_on_stats(self, stats):
        if path := self.get_option("path"):
            content = {
                "resources": self.resources,
                "undeclared": self.undeclared,
                "tasks": self.tasks,
                "hosts": sorted(stats.processed),
                "machines": sorted(self.there),
                "as_left": sorted(self.as_left),
                "new_hosts": newcomers.roles(self.machines, self.plays),
                "sides": self.sides,
            }
            with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                json.dump(content, file, default=str)


def resource(row):
    """A row of a stack without what only the run needs."""
    told = row.get("change") or {"fields": [], "replaces": [], "stops": []}
    return {"item": row["item"], "action": verb(row), "why": row.get("why", ""), **told, "wanted": row["diff"]["after"]}


def sides(row):
    """A resource as it is (`was`) and as it would be (`will_be`), as one would write it; None where it is not there."""
    if "was" in row:
        return {"was": row["was"], "will_be": None}
    there = verb(row) != "created"
    return {"was": {**row["declared"], **row["diff"]["before"]} if there else None, "will_be": row["declared"]}


def labels(row):
    """Those of a machine: as it is declared, or, where nothing changes of them, as they are."""
    declared = row["diff"]["after"].get("labels")
    return declared or row.get("instance", {}).get("labels") or {}


def task(done, found):
    """What a task would do to its host. `digest` tells two different contents of the same paths apart."""
    arguments = (found.get("invocation") or {}).get("module_args") or {}
    units = dict.fromkeys((*found.get("started", ()), *found.get("enabled", ())), "start")
    units |= dict.fromkeys(found.get("ended", ()), "stop")
    if done.resolved_action in SERVICES and arguments.get("name"):
        units[arguments["name"]] = RESTARTS.get(arguments.get("state"), "change")
    paths = found.get("changed_paths") or [arguments[name] for name in ("dest", "path") if arguments.get(name)]
    return {
        "role": done._role.get_name() if done._role else "",
        "name": done.name,
        "files": [] if units else paths,
        "packages": [*found.get("missing", ()), *(f"-{name}" for name in found.get("unwanted", ()))],
        "units": units,
        "digest": hashlib.sha256(json.dumps(found.get("diff"), sort_keys=True, default=str).encode()).hexdigest(),
    }
