"""Apply many declarations: all of them checked before any call, each shown as it is done."""

from __future__ import annotations

from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.options import read_all
from ...module_utils.references import referred, refuse_unknown
from ...module_utils.resources import ALL
from ...module_utils.services import SERVICES
from ...module_utils.session import Session
from ...module_utils.stack import arrange, stack
from ..connection import hidden
from .folder_contents import DECLARED, resources

STAGE, APP = "stagecraft-stage", "stagecraft-app"


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """Bring every declaration to its state; `undeclared` are things with the stage's label that no entry names.

    An error of one does not stop what does not need it; it is in its row of `results`.
    """
    answers.hide(hidden(request["connection"]))
    labels = {k: v for k, v in ((STAGE, request["stage"]), (APP, request["app"])) if v}
    keeps = {"stage_labels": labels, "applied_secrets": request.get("applied_secrets"), "seen": request.get("seen")}
    session = Session.from_options(request["connection"] | keeps)
    session.notice = answers.notice
    written = placed(request["resources"])
    only_declared = request["state"] == "declared"
    state = "present" if only_declared else request["state"]
    items, secrets = read_all([e for _, e in written], ALL, session, state, [place for place, _ in written])
    answers.hide(str(secret) for secret in secrets)
    names = ("name", "renamed_from")  # what is about to be renamed is declared, under its new name
    declared = {(resource.kind, params.get(name)) for resource, params in items for name in names}
    there, _ = resources(session, DECLARED & SERVICES.keys()) if request["stage"] else ([], {})
    refuse_another_stage(session, request["stage"], there)
    extra = undeclared(request["stage"], declared, there)
    leaving = departures(extra, session) if request["prune"] else {}
    if only_declared:
        arrange(items, session, True)
        refuse_unknown(items, session, leaving)
        return {"results": [], "undeclared": extra}
    results = stack(items, session, request["check"], request["workers"], answers.event, leaving)
    failed = any("error" in row for row in results)
    if request["prune"] and not failed:
        results += prune(extra, session, request, answers)
    checked = bool(request["stage"]) and not failed
    answer = {"results": results, "undeclared": [] if failed else extra, "checked_undeclared": checked}
    return answer if session.applied_secrets is None else answer | record(results)


def record(results: list[dict[str, Any]]) -> dict[str, dict]:
    """What a record needs, taken out of the rows and put together by what each is called."""
    taken = {
        name: {row["item"]: row.pop(name) for row in results if name in row}
        for name in ("applied", "seen", "secret_versions")
    }
    return taken | {"secret_versions": {item: found for item, found in taken["secret_versions"].items() if found}}


def flat(resources: list | dict) -> list:
    """The list form of declarations."""
    return [entry for _, entry in placed(resources)]


def placed(resources: list | dict) -> list[tuple[str, Any]]:
    """The list form of declarations, each with where it was written, for messages.

    By kind reads better in an inventory: {vpc_subnet: {a: {...}}}, or {dns_record_set: [{...}]} for what has no name of
    its own, or shares it.
    """
    if isinstance(resources, list):
        return [(f"entry {n}", entry) for n, entry in enumerate(resources, 1)]
    entries: list[tuple[str, Any]] = []
    for kind, given in resources.items():
        if isinstance(given, list):
            entries += [(f"{kind} entry {n}", {kind: fields}) for n, fields in enumerate(given, 1)]
        elif isinstance(given, dict):
            entries += [(f"{kind} {n}", {kind: named(kind, str(n), fields)}) for n, fields in given.items()]
        elif given is not None:
            raise Fail(f"{kind}: give each its name, as in {kind}: {{main: {{...}}}}, or a list")
    return entries


def named(kind: str, name: str, fields: Any) -> dict[str, Any]:
    if fields is not None and not isinstance(fields, dict):
        raise Fail(f"{kind} {name}: its options are a dictionary, as in {kind}: {{{name}: {{description: text}}}}")
    return {"name": name, **(fields or {})}


def refuse_another_stage(session: Session, stage: str, there: list[dict[str, Any]]) -> None:
    """Raises Fail where the folder holds another stage: names alone would take its things for ours."""
    others = sorted({row["labels"].get(STAGE, stage) for row in there} - {stage})
    if others:
        raise Fail(
            f"folder {session.folder} belongs to the stage {', '.join(others)}, and a stage owns its folder alone:"
            f" nothing was touched. Set YC_FOLDER_ID to the folder of {stage}"
        )


def undeclared(stage: str, declared: set[tuple[str, Any]], there: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What carries the stage's label and is not declared."""
    return [
        {"kind": row["kind"], "name": row["name"], "id": row["id"]}
        for row in sorted(there, key=lambda row: (row["kind"], row["name"]))
        if row["labels"].get(STAGE) == stage and (row["kind"], row["name"]) not in declared
    ]


def departures(extra: list[dict[str, str]], session: Session) -> dict[tuple, str]:
    """What pruning deletes, as `refuse_unknown` wants it."""
    return {
        referred(resource, row["name"], {}, session): f"prune deletes {row['kind']} {row['name']}: declare it"
        for row in extra
        for resource in ALL
        if resource.kind == row["kind"]
    }


def prune(extra: list[dict[str, str]], session: Session, request: dict[str, Any], answers: Any) -> list[dict[str, Any]]:
    """Delete what is no longer declared. Nothing says what refers to what, so each is tried while that gets further."""
    gone = [{row["kind"]: {"name": row["name"]}} for row in extra]
    items, _ = read_all(gone, ALL, session, "absent")
    results: list[dict[str, Any]] = []
    left = items
    for _ in items:
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
