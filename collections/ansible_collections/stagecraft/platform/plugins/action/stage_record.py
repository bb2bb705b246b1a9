"""Write the record of a run into the stage's bucket, or read the last one."""

from __future__ import annotations

import re
from typing import ClassVar

from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction, display
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError
from ansible_collections.stagecraft.platform.plugins.plugin_utils.run_agent import ask_agent

FINISHED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class ActionModule(CloudAction):
    SPEC: ClassVar = {
        "state": {"type": "str", "choices": ["present", "info"], "default": "present"},
        "record": {"type": "dict"},
        "bucket": {"type": "str", "required": True},
        "endpoint_url": {"type": "str"},
        "region": {"type": "str", "required": True},
        "access_key": {"type": "str", "required": True, "no_log": False},
        "secret_key": {"type": "str", "required": True, "no_log": True},
    }
    RELATIONS: ClassVar = {"required_if": [("state", "present", ["record"])]}
    CHANGES = True

    def work(self, options):
        asked = {name: options[name] for name in ("bucket", "endpoint_url", "region", "access_key", "secret_key")}
        if options["state"] == "info":
            found = ask_agent("record", asked)
            if found["why"]:
                display.display(f"  the last record cannot be read, and nothing needs it: {found['why']}")
            return {"changed": False, "record": found["record"]}
        if not FINISHED.fullmatch(str(options["record"].get("finished", ""))):
            raise CloudError("record.finished must be the time when the run ended, such as 2026-01-31T23:59:59Z")
        if self._task.check_mode:
            return {"changed": False, "keys": []}
        return {"changed": False} | ask_agent("record", asked | {"record": options["record"]})
