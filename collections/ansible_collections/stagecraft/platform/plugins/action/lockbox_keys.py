"""Keys and certificates of a stage, kept in Lockbox."""

from __future__ import annotations

from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction, display
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection
from ansible_collections.stagecraft.platform.plugins.plugin_utils.progress import line

KINDS = ("ssh", "ca", "certificate", "api_key")


class ActionModule(CloudAction):
    CHANGES = True
    SPEC = {
        "keys": {"type": "dict", "required": True, "no_log": False},
        "rotate": {"type": "list", "elements": "str", "default": []},
        "stage": {"type": "str"},
        "app": {"type": "str"},
    }

    def work(self, options):
        wrong = [name for name, key in options["keys"].items() if (key or {}).get("kind") not in KINDS]
        if wrong:
            return {"failed": True, "msg": f"keys: {', '.join(wrong)}: kind has to be one of {', '.join(KINDS)}"}
        labels = {"stagecraft-stage": options["stage"], "stagecraft-app": options["app"]}
        request = {
            "connection": connection(options),
            "keys": options["keys"],
            "rotate": options["rotate"],
            "labels": {label: value for label, value in labels.items() if value},
            "check": self._task.check_mode,
        }
        answer = self._ask("keys", request, self._show)
        changed = [row for row in answer["results"] if row["changed"]]
        return {
            "changed": bool(changed),
            "public": answer["public"],
            "trusted": answer["trusted"],
            "rotating": answer["rotating"],
            "results": [{name: row[name] for name in ("item", "changed", "diff", "change", "why")} for row in changed],
            "diff": [{"before": "", "after": f"{row['item']}: {row['why']}\n"} for row in changed],
        }

    def _show(self, row):
        if text := line(row, self._task.check_mode):
            display.display(text, color="red" if "error" in row else None)
