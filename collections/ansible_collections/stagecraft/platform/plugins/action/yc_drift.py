"""Compare what is in a folder with the record of what was last applied to it."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection


class ActionModule(CloudAction):
    SPEC: ClassVar = {
        "record": {"type": "dict", "required": True},
        "declared": {"type": "raw", "default": {}},
        "ignore": {"type": "list", "elements": "str", "default": []},
    }

    def work(self, options):
        request = {name: options[name] for name in self.SPEC}
        return {"changed": False, **self._ask("drift", {"connection": connection(options), **request})}
