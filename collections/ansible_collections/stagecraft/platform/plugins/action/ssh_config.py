"""Write ssh_config and known_hosts for a stage's machines."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import ClassVar

from ansible_collections.stagecraft.platform.plugins.plugin_utils import ssh_files
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction, display
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection


class ActionModule(CloudAction):
    SPEC: ClassVar = {
        "path": {"type": "path", "required": True},
        "known_hosts": {"type": "path", "required": True},
        "user": {"type": "str", "default": "stagecraft"},
        "identity_file": {"type": "path", "no_log": False},
        "bastion": {"type": "str"},
        "role_label": {"type": "str", "default": "stagecraft-role"},
        "filters": {"type": "dict", "default": {}},
        "control_folder": {"type": "path", "default": "~/.ansible/cp"},
        "timeout": {"type": "int", "default": 300},
    }

    def work(self, options):
        config, hosts = Path(options["path"]), Path(options["known_hosts"])
        before = {config: ssh_files.read(config), hosts: ssh_files.read(hosts)}
        found = self._ask("host_keys", self._request(options, before[hosts]), self._show)
        machines = found["machines"]
        if wrong := ssh_files.problems(machines, options["control_folder"]):
            raise CloudError("; ".join(wrong))
        bastion = self._bastion(machines, options)
        after = {
            config: ssh_files.ssh_config(machines, bastion, options),
            hosts: ssh_files.known_hosts(machines),
        }
        if not self._task.check_mode:
            Path(options["control_folder"]).mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (hosts, config):  # a machine is never named before its key is known
                if before[path] != after[path]:
                    replace(path, after[path])
        changed = [path for path in after if before[path] != after[path]]
        return {
            "changed": bool(changed),
            "hosts": [m["name"] for m in machines],
            "bastion": bastion,
            "skipped_hosts": found["skipped"],
            "diff": [
                {"before_header": str(p), "after_header": str(p), "before": before[p], "after": after[p]}
                for p in changed
            ],
        }

    def _request(self, options, known_hosts):
        return {
            "connection": connection(options),
            "filters": options["filters"],
            "known": ssh_files.known_keys(known_hosts),
            "timeout": options["timeout"],
        }

    def _show(self, event):
        display.display(f"  host keys  {event['name']}  {event['seconds']:.1f}s")

    def _bastion(self, machines, options):
        """The name of the machine to go through: that with the label, running, and with a public address."""
        if not options["bastion"]:
            return None
        label, value = options["role_label"], options["bastion"]
        named = [m for m in machines if m["labels"].get(label) == value]
        usable = [m["name"] for m in named if m["public_ip"]]
        if usable or not machines:
            return usable[0] if usable else None
        if named:
            raise CloudError(f"bastion {named[0]['name']} has no public address, so nothing can be reached through it")
        raise CloudError(f"no running machine has the label {label}={value}, so there is no bastion to go through")


def replace(path, text):
    """Put the new text in the file's place in one step, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
