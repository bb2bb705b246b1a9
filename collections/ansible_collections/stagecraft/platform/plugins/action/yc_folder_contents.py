"""List everything in a folder that a stage could own."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction, display
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection

SHOWN = 20  # names in the message; all of them are in the result


class ActionModule(CloudAction):
    SPEC: ClassVar = {
        "keep": {"type": "list", "elements": "str", "default": []},
        "fail_if_any": {"type": "bool", "default": False},
    }

    def work(self, options):
        found = self._ask("folder_contents", {"connection": connection(options), "keep": options["keep"]})
        rows, not_asked = found["resources"], found["not_asked"]
        if not_asked:
            display.display(
                f"  not asked, because their service is not there: {len(not_asked)} kinds (`-v` names them)"
            )
            display.v(f"  not asked: {', '.join(sorted(not_asked))}")
        result = {"changed": False, "count": len(rows), **found}
        if rows and options["fail_if_any"]:
            named = [f"{row['kind']} {row['name'] or row['id']}" for row in rows[:SHOWN]]
            more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
            result |= {
                "failed": True,
                "msg": f"the folder is not empty: {', '.join(named)}{more}. "
                "Delete what is left, or name in `keep` the ids of what is not the stage's, then run the same again",
            }
        return result
