"""Packages: one look at dpkg's database, and apt only where something is to be done (the controller's half)."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.stagecraft.platform.plugins.modules.packages import NO_START

FRESH = 3600  # seconds for which lists of packages are good enough to install from


class ActionModule(ActionBase):
    """Options and behaviour: `ansible-doc stagecraft.platform.packages`."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = True
    _VALID_ARGS = frozenset(("present", "absent", "refresh"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.vars = task_vars or {}
        seen = self._execute_module("stagecraft.platform.packages", task_vars=self.vars)
        if seen.get("failed"):
            return seen
        refresh = boolean(self._task.args.get("refresh", False))
        result = {name: seen[name] for name in ("changed", "interrupted", "missing", "unwanted")}
        if seen["missing"] and self._task.check_mode:  # apt would look in lists that a check does not refresh
            result["changed"] = True
        elif seen["missing"] or refresh:
            lists = {"update_cache": True, "cache_valid_time": 0 if refresh else FRESH}
            install = {
                "name": seen["missing"],
                "state": "present",
                "install_recommends": False,
                "policy_rc_d": NO_START,
            }
            self._apt(result, lists | (install if seen["missing"] else {}))
        if seen["unwanted"] and not result.get("failed"):
            self._apt(result, {"name": seen["unwanted"], "state": "absent", "purge": True})
        before = {name: name in seen["unwanted"] for name in (*seen["missing"], *seen["unwanted"])}
        result["diff"] = {
            "before": "".join(f"{name}\n" for name, there in before.items() if there),
            "after": "".join(f"{name}\n" for name, there in before.items() if not there),
        }
        return result

    def _apt(self, result: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Let apt do it; what it says of a failure is what the task says."""
        done = self._execute_module("ansible.builtin.apt", module_args=arguments, task_vars=self.vars)
        result["changed"] = result["changed"] or bool(done.get("changed"))
        if done.get("failed"):
            result.update({key: done[key] for key in ("failed", "msg", "stdout", "stderr", "rc") if key in done})
