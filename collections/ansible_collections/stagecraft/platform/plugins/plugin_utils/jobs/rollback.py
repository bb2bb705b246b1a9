"""An earlier revision of a serverless container serves again."""

from __future__ import annotations

import time
from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.references import nothing
from ...module_utils.resources.yandex_serverless import CONTAINER
from ...module_utils.session import Session
from ..connection import hidden


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """`changed`; `before` and `after`, the revisions that served and serve; the former's `last_lines`; and the `container`,
    as its module has it."""
    answers.hide(hidden(request["connection"]))
    session = Session.from_options(request["connection"])
    session.notice = answers.notice
    name = request["name"]
    backend = session.at(CONTAINER, {"name": name})
    if backend.find() is None:
        raise Fail(nothing(CONTAINER, name))
    before, former, began = backend.serving(), backend.revision, time.time()
    try:
        chosen = backend.earlier(request["revision"])
        changed = chosen.id != before.get("id")
        if changed and not request["revive"]:
            backend.refuse_outdated(chosen, request["rotated"])
        if changed and not request["check"]:
            backend.roll_back(chosen)
    except Fail as error:
        error.item = f"{CONTAINER.kind} {name}"
        raise
    # After it: what is urgent is that something serves. From then on others print.
    printed = backend.last_lines(former, began)
    found = {"changed": changed, "before": before, "after": backend.serving(chosen), "last_lines": printed}
    return {**found, "container": backend.returned()}
