"""What every generated module calls."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from . import connection
from .declaration import Fail
from .options import argument_spec, label, refuse, relations, strangers
from .references import refuse_unknown
from .values import misformed

try:
    from .resource import apply
    from .yandex import Session
except ImportError:  # generated modules have the same guard, and `run` says what is missing
    Session = apply = None


class Module(AnsibleModule):
    """An AnsibleModule that names the nearest option where one does not exist."""

    def fail_json(self, msg: str, **more: Any) -> NoReturn:
        if "Unsupported parameters" in msg:
            given = {k: v for k, v in self.params.items() if not k.startswith("_ansible_")}
            msg = "; ".join(strangers(self.argument_spec, given)) or msg
        super().fail_json(msg, **more)


def run(resource: Any) -> None:
    """A whole module: its options from the declaration, its work from the engine."""
    if resource is None:  # without the SDK there are no types, and so no options that AnsibleModule could check
        print(json.dumps({"failed": True, "msg": missing_required_lib("yandexcloud")}))
        sys.exit(1)
    backend = resource.backend(None, resource, {})
    spec = {**connection.argument_spec(), **argument_spec(backend)}
    if "labels" in backend.bound:
        spec["stage_labels"] = {"type": "dict", "default": {}}
    module = Module(spec, supports_check_mode=True, **relations(backend))
    try:
        name = label(resource, module.params, [n for n, b in backend.bound.items() if b.field.key])
        wrong = misformed(backend.bound, module.params) + backend.wrong(module.params)
        refuse([f"{name}: {said}" for said in wrong])
        session = Session.from_options(module.params)
        if not module.check_mode:  # there, a placeholder stands for what a task before this one would have made
            refuse_unknown([(resource, module.params)], session)
        result = apply(resource, module.params, session, module.check_mode)
    except Fail as error:
        module.fail_json(msg=str(error))
    for name in ("change", "declared", "was"):  # the diff says it to a person
        result.pop(name, None)
    missing = result.pop("missing")
    if missing:
        module.warn(f"check mode: does not exist yet: {', '.join(missing)}")
    module.exit_json(**result)
