"""What the tests of the engine share: declarations applied in this process, against an emulated cloud."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.stagecraft.platform.plugins.module_utils import options, resource
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL
from ansible_collections.stagecraft.platform.plugins.module_utils.stack import stack
from ansible_collections.stagecraft.platform.plugins.module_utils.yandex import Session

CASES = Path(__file__).parent / "cases"
LABELS = {"stagecraft-stage": "contract", "stagecraft-app": "tests"}
VARIABLES = {
    "endpoint": "YC_ENDPOINT",
    "root_certificates": "YC_ROOT_CERTIFICATES",
    "service_account_key_file": "YC_SERVICE_ACCOUNT_KEY_FILE",
    "folder": "YC_FOLDER_ID",
}


def case(kind: str) -> dict[str, Any]:
    return yaml.safe_load((CASES / f"{kind}.yml").read_text())


def kind_of(name: str) -> resource.Resource:
    return next(r for r in ALL if r.kind == name)


@dataclass
class Engine:
    """The engine with a session of its own, as a run of Ansible has one."""

    cloud: Any
    session: Session

    @classmethod
    def at(cls, cloud: Any, **more: Any) -> Engine:
        reach = {option: cloud.env[variable] for option, variable in VARIABLES.items()}
        return cls(cloud, Session.from_options({**reach, "stage_labels": LABELS, "retry_time": 5, **more}))

    def apply(self, kind: str, values: dict, check: bool = False, state: str = "present") -> dict[str, Any]:
        """One declaration, as its module would apply it. Raises Fail."""
        items, _ = options.read_all([{kind: values}], ALL, self.session, state)
        return resource.apply(*items[0], self.session, check)

    def stack(self, declarations: list, state: str = "present", check: bool = False) -> list[dict[str, Any]]:
        """Many declarations, as yc_stack applies them. Raises Fail where they cannot be right."""
        items, _ = options.read_all(declarations, ALL, self.session, state)
        return stack(items, self.session, check)

    def build(self, declarations: list) -> None:
        assert [r for r in self.stack(declarations) if "error" in r] == []

    def demolish(self, declarations: list) -> None:
        assert [r for r in self.stack(declarations, "absent") if "error" in r] == []

    def calls(self, ending: str = "") -> list[dict]:
        """What the cloud was asked to change, by the end of the method's name."""
        reads = ("Get", "List", "IamTokenService.Create")
        asked = [e for e in self.cloud.journal.entries() if e["principal"]]
        name = [e for e in asked if not e["method"].rpartition(".")[2].startswith(reads[:2])]
        return [e for e in name if e["method"].endswith(ending) and not e["method"].endswith(reads[2])]
