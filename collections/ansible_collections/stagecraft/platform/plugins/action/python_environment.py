"""A program's environment: ask the host for the build, and send what it is made from only where it is missing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Options and behaviour: `ansible-doc stagecraft.platform.python_environment`."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = True
    _VALID_ARGS = frozenset(("path", "python", "requirements", "wheel"))
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        given = dict(self._task.args)
        requirements, wheel = given.pop("requirements", ""), given.pop("wheel", None)
        if not requirements:
            return result | {"failed": True, "msg": "requirements is empty: give the text of a lock with hashes"}
        try:
            content = Path(wheel).read_bytes() if wheel else b""
        except OSError as error:
            return result | {"failed": True, "msg": f"wheel: {wheel} on the controller: {error.strerror}"}
        given["checksum"] = hashlib.sha256(requirements.encode() + b"\0" + content).hexdigest()
        seen = self._module(given | {"requirements": ""}, task_vars)  # only looks
        if seen.get("failed") or not seen["changed"]:
            return result | seen
        if not self._task.check_mode:
            try:
                if wheel:
                    given["wheel"] = self._brought(wheel)
                seen = self._module(given | {"requirements": requirements}, task_vars)
            finally:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        made = {"diff": {"before": "", "after": f"{seen['path']}\n"}} if "path" in seen else {}
        return result | seen | made

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        done: dict[str, Any] = self._execute_module(
            "stagecraft.platform.python_environment", module_args=arguments, task_vars=task_vars
        )
        return done

    def _brought(self, wheel: str) -> str:
        """The wheel on the host; pip wants its name as it was."""
        there = self._connection._shell.join_path(self._make_tmp_path(), os.path.basename(wheel))
        self._transfer_file(wheel, there)
        self._fixup_perms2((os.path.dirname(there), there))
        return str(there)
