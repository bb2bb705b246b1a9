"""Apply many declarations: all of them checked before any call, each shown as it is done."""

from __future__ import annotations

import itertools
from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.options import read_all
from ...module_utils.resources import ALL
from ...module_utils.session import Session
from ...module_utils.stack import stack
from ..connection import hidden
from .folder_contents import contents

STAGE, APP = "stagecraft-stage", "stagecraft-app"


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """Bring every declaration to its state; `undeclared` are things with the stage's label that no entry names.

    An error of one does not stop what does not need it; it is in its row of `results`.
    """
    answers.hide(hidden(request["connection"]))
    labels = {k: v for k, v in ((STAGE, request["stage"]), (APP, request["app"])) if v}
    session = Session.from_options(request["connection"] | {"stage_labels": labels})
    items, secrets = read_all(flat(request["resources"]), ALL, session, request["state"])
    answers.hide(str(secret) for secret in secrets)
    declared = {(resource.kind, params.get("name")) for resource, params in items if params["state"] == "present"}
    results = stack(items, session, request["check"], request["workers"], answers.event)
    failed = any("error" in row for row in results)
    extra = undeclared(session, request["stage"], declared) if request["stage"] and not failed else []
    if request["prune"] and not failed:
        results += prune(extra, session, request, answers)
    return {"results": results, "undeclared": extra, "checked_undeclared": bool(request["stage"]) and not failed}


def flat(resources: list | dict) -> list:
    """The list form of declarations: by kind and name ({vpc_subnet: {a: {...}}}) reads better in an inventory."""
    if isinstance(resources, list):
        return resources
    entries = []
    for kind, named in resources.items():
        if isinstance(named, list):  # what has no name of its own, such as a binding
            entries += [{kind: fields} for fields in named]
            continue
        if not isinstance(named, dict):
            raise Fail(f"{kind}: give each its name, as in {kind}: {{main: {{...}}}}")
        for name, fields in named.items():
            if not isinstance(fields or {}, dict):
                raise Fail(f"{kind} {name}: its fields are a dictionary, as in {{description: text}}")
            entries.append({kind: {"name": str(name), **(fields or {})}})
    return entries


def undeclared(session: Session, stage: str, declared: set[tuple[str, Any]]) -> list[dict[str, str]]:
    """What carries the stage's label and is not declared."""
    kinds = {resource.kind for resource in ALL}
    return [
        {"kind": row["kind"], "name": row["name"], "id": row["id"]}
        for row in contents(session)
        if row["labels"].get(STAGE) == stage and row["kind"] in kinds and (row["kind"], row["name"]) not in declared
    ]


def prune(extra: list[dict[str, str]], session: Session, request: dict[str, Any], answers: Any) -> list[dict[str, Any]]:
    """Delete what is no longer declared. Nothing says what refers to what, so each is tried while that gets further."""
    gone = [{row["kind"]: {"name": row["name"]}} for row in extra]
    items, _ = read_all(gone, ALL, session, "absent")
    results: list[dict[str, Any]] = []
    left = items
    for _ in itertools.repeat(None, len(items)):
        rows = stack(left, session, request["check"], request["workers"])
        again = [item for item, row in zip(left, rows, strict=True) if "error" in row]
        done = [row for row in rows if "error" not in row]
        results += done
        for row in done:
            answers.event(row)
        if not again or len(again) == len(left):
            results += [row for row in rows if "error" in row]
            break
        left = again
    return results
