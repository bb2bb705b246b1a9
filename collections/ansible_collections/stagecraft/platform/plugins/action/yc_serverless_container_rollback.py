"""Let an earlier revision of a serverless container serve again."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection


class ActionModule(CloudAction):
    SPEC: ClassVar = {
        "name": {"type": "str", "required": True},
        "revision": {"type": "str", "default": ""},
        "rotated": {"type": "list", "elements": "str", "default": []},
        "revive": {"type": "bool", "default": False},
    }
    CHANGES = True

    def work(self, options):
        asked = {name: options[name] for name in self.SPEC} | {"check": self._task.check_mode}
        found = self._ask("rollback", {"connection": connection(options), **asked})
        diff = {side: found.pop(side) for side in ("before", "after")}
        return {**found, "revision": diff["after"], "diff": diff if found["changed"] else {"before": {}, "after": {}}}
