"""Take, keep and let go the lease of a stage's folder."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from typing import ClassVar

from ansible import context
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.values import seconds
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError, run
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection
from ansible_collections.stagecraft.platform.plugins.plugin_utils.progress import hearing
from ansible_collections.stagecraft.platform.plugins.plugin_utils.run_agent import ask_agent


class ActionModule(CloudAction):
    SPEC: ClassVar = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "ttl": {"type": "str", "default": "10m"},
        "wait": {"type": "str", "default": "30s"},
    }

    def work(self, options):
        who = holder(self.variables.get("playbook_dir") or os.getcwd())
        try:
            times = {name: seconds(name, options[name]) for name in ("ttl", "wait")}
        except Fail as error:
            raise CloudError(str(error)) from None
        if self._task.check_mode:
            return {"changed": False, "held": False, "holder": who}
        request = {"connection": connection(options), "state": options["state"], "holder": told(who), **times}
        return {"changed": False, "holder": who, **ask_agent("lease", request, hearing(), lasting=True)}


def holder(folder):
    """Who acts, from what: what a lease and a record say of a run."""
    commit = described(folder)
    return {
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "process": run(),
        "playbook": " ".join(os.path.basename(name) for name in context.CLIARGS.get("args") or ()),
        "commit": commit.removesuffix("-dirty"),
        "uncommitted_changes": commit.endswith("-dirty"),
    }


def described(folder):
    """The commit that a folder is at, with `-dirty` where files differ from it; `unknown` without git."""
    command = ["git", "-C", folder, "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def told(who):
    """The same in words."""
    changes = " with uncommitted changes" if who["uncommitted_changes"] else ""
    return f"{who['user']}@{who['host']} (process {who['process']}, {who['playbook']}, commit {who['commit'][:12]}{changes})"
