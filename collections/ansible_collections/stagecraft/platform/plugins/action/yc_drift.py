"""Compare what is in a folder with the record of what was last applied to it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ansible_collections.stagecraft.platform.plugins.module_utils.drift import MACHINE_KINDS, drift_ignored
from ansible_collections.stagecraft.platform.plugins.module_utils.services import SERVICES
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_action import CloudAction
from ansible_collections.stagecraft.platform.plugins.plugin_utils.cloud_process import CloudError
from ansible_collections.stagecraft.platform.plugins.plugin_utils.connection import connection

MODULES = Path(__file__).parents[1] / "modules"


class ActionModule(CloudAction):
    SPEC: ClassVar = {
        "record": {"type": "dict", "required": True},
        "declared": {"type": "raw", "default": {}},
        "ignore": {"type": "list", "elements": "str", "default": []},
    }

    def work(self, options):
        request = {"connection": connection(options), "record": options["record"], "declared": options["declared"]}
        try:
            ignored = drift_ignored(options["ignore"], {*MACHINE_KINDS, *SERVICES, *modules()})
        except ValueError as error:
            raise CloudError(f"ignore: {error}") from None
        found = self._ask("drift", request)
        kept = [row for row in found["drift"] if not ignored(row)]
        machines = [pattern for pattern in options["ignore"] if pattern.split()[0] in MACHINE_KINDS]
        counted = {"ignored": len(found["drift"]) - len(kept), "of_machines": machines}
        return {"changed": False, **found, "drift": kept, **counted}


def modules():
    """The kinds that can be declared, by the names of their modules."""
    return {path.stem.removeprefix("yc_") for path in MODULES.glob("yc_*.py")}
