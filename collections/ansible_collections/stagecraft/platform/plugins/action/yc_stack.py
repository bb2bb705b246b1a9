"""Apply many Yandex Cloud resources at once, and show each as it is done."""

from __future__ import annotations

from typing import ClassVar

from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction, display
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection
from ansible_collections.stagecraft.platform.plugins.plugin_utils.progress import line, summary

DECLARED = "declared"  # the state that is only looked for in the declarations


class ActionModule(CloudAction):
    CHANGES = True
    SPEC: ClassVar = {
        "resources": {"type": "raw", "required": True},
        "state": {"type": "str", "choices": ["present", "absent", "info", DECLARED], "default": "present"},
        "workers": {"type": "int", "default": 16},
        "stage": {"type": "str"},
        "app": {"type": "str"},
        "part": {"type": "bool", "default": False},
        "prune": {"type": "bool", "default": False},
        "applied_secrets": {"type": "dict", "no_log": False},
        "seen": {"type": "dict"},
    }

    def work(self, options):
        if not isinstance(options["resources"], list | dict):
            return failure("resources has to be a list of declarations, or a dictionary of them by kind and name")
        if options["prune"] and not options["stage"]:
            return failure("prune needs stage: only what carries a stage's label can be known to be its own")
        if options["prune"] and options["part"]:
            return failure("prune needs all of the stage's resources: it would delete whatever a part does not name")
        request = {name: options[name] for name in self.SPEC} | {
            "connection": connection(options),
            "check": self._task.check_mode,
        }
        answer = self._ask("stack", request, self._show)
        results = answer["results"]
        if options["state"] == DECLARED:
            return {"changed": False}
        display.display(summary(results, self._task.check_mode))
        undeclared = [] if options["part"] else answer["undeclared"]
        for row in undeclared if not options["prune"] else ():
            display.display(f"  undeclared  {row['kind']} {row['name'] or row['id']}", color="yellow")
        changed = [row for row in results if row["changed"]]
        if any("error" in row for row in results):
            return failed(results)
        return {
            "changed": bool(changed),
            "results": results,
            "undeclared": undeclared,
            "diff": [diff(row) for row in changed],
            **{name: answer[name] for name in ("applied", "seen", "secret_versions") if name in answer},
        }

    def _show(self, row):
        text = line(row, self._task.check_mode)
        if text:
            display.display(text, color="red" if "error" in row else None)


def failure(message):
    return {"failed": True, "changed": False, "msg": message}


def failed(results):
    """What is shown of a stack of which something failed: the errors, and shortly what was done."""
    errors = [f"{row['item']}: {row['error'].removeprefix(row['item'] + ': ')}" for row in results if "error" in row]
    count = f"{len(errors)} of {len(results)} failed; what is done is kept, and the same run again goes on from there:"
    return {
        "failed": True,
        "changed": any(row["changed"] for row in results),
        "msg": errors[0] if len(errors) == 1 else "\n- ".join([count, *errors]),
        "results": [
            {name: row[name] for name in ("item", "changed", "error") if name in row}
            for row in results
            if row["changed"] or "error" in row
        ],
    }


def diff(row):
    return {
        "before_header": row["item"],
        "after_header": row["item"],
        "before": row["diff"]["before"] or "",  # else nothing would be shown as an empty dictionary
        "after": row["diff"]["after"] or "",
    }
