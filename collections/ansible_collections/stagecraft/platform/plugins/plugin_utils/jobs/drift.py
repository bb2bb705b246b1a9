"""What was changed in a folder since a stage was last applied: what is there, against the record of what was."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...module_utils.declaration import Bound, Fail, has_secret
from ...module_utils.descriptors import methods
from ...module_utils.drift import MACHINE_KINDS, drift_ignored
from ...module_utils.errors import ApiFail, NoService
from ...module_utils.lease import ends, name_in
from ...module_utils.options import read
from ...module_utils.resource import Run
from ...module_utils.resources import ALL
from ...module_utils.services import SERVICES
from ...module_utils.values import edits, fingerprints, may_hide
from ..connection import hidden
from ..export.finding import Found, everything
from ..export.names import Names
from ..export.reading import Reading
from .export import GARBAGE, WORKERS
from .folder_contents import DECLARED, resources
from .stack import APP, STAGE, placed

BY_KIND = {resource.kind: resource for resource in ALL}
OPERATIONS = "ListOperations"
AS_DECLARED, BESIDE, OTHERWISE = "as declared", "beside", "otherwise"


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """`drift`: rows of kind, name, `what` (changed, gone or new), field, old, new, since and by, where the service tells
    these two, and `left`: whether the next run leaves it, because nothing declares it; `ignored`, how many rows are left
    out; and `not_asked`, the kinds whose service would not answer. Nothing is changed, and no secret is read.

    `record` is what the last run applied, `declared` what the declarations say now: a change that they ask for is no drift.
    `ignore` are patterns of drift_ignored; `of_machines` gives back those that are for the machines.
    Raises Fail where the record cannot be compared, and for a pattern that is wrong.
    """
    answers.hide(hidden(request["connection"]))
    try:
        ignored = drift_ignored(request["ignore"], {*MACHINE_KINDS, *SERVICES, *BY_KIND})
    except ValueError as error:
        raise Fail(f"ignore: {error}") from None
    gc.set_threshold(GARBAGE)
    record = request["record"]
    if "seen" not in record:
        raise Fail(
            "the record of the last run does not say what there was: apply the stage once, which writes a new one"
        )
    labels = {STAGE: record["stage"], APP: record["app"]}
    session = Reading.from_options(request["connection"] | {"stage_labels": labels})
    session.notice = answers.notice
    with ThreadPoolExecutor(2) as pool:
        others = pool.submit(resources, session, SERVICES.keys() - DECLARED)
        found = everything(session, WORKERS)
        strangers, not_asked = others.result()
    refuse_a_run(session, found)
    drift = Drift(session, found, record)
    drift.compare(declarations(request["declared"], session))
    rows = drift.rows + [row("new", one["kind"], one["name"] or one["id"]) for one in strangers]
    kept = sorted((r for r in rows if not ignored(r)), key=lambda r: (r["kind"], r["name"], r["field"]))
    of_machines = [pattern for pattern in request["ignore"] if pattern.split()[0] in MACHINE_KINDS]
    return {"drift": kept, "ignored": len(rows) - len(kept), "of_machines": of_machines, "not_asked": not_asked}


def row(what: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "what": what,
        "kind": kind,
        "name": name,
        "field": "",
        "old": None,
        "new": None,
        "since": "",
        "by": "",
        "left": what == "new",
        **more,
    }


def declarations(declared: Any, session: Reading) -> dict[str, dict[str, Any]]:
    """The parameters of what is declared now, by what messages call it; without what cannot be read as it is."""
    known: dict[str, dict[str, Any]] = {}
    for _, entry in placed(declared or {}):
        for kind, values in entry.items():
            if kind in BY_KIND and isinstance(values, dict):
                try:
                    params, _, wrong = read(BY_KIND[kind], values, session, "present")
                except Fail:
                    continue
                if not wrong:
                    known[Run(BY_KIND[kind].backend(session, BY_KIND[kind], params), params, session, True).label()] = (
                        params
                    )
    return known


def as_declared(there: Found, declared: dict[str, Any], seen: dict[str, Any], session: Reading) -> dict[str, str]:
    """For each option that is declared: AS_DECLARED now, which is no drift, because a run may have applied it and kept no
    record, as a roll does; BESIDE, where the record has all that is declared of it, too, so that what differs is beside
    that; or OTHERWISE. Empty where what was done by hand keeps it from being planned."""
    engine = Run(there.backend, declared, session, True)
    try:
        plan = engine.plan(there.there)
    except Fail:
        return {}
    beside = {n for n in plan.wanted if n in seen and engine.says_more(plan, n, seen[n])}
    return {n: OTHERWISE if n in plan.changed else BESIDE if n in beside else AS_DECLARED for n in plan.wanted}


def told_once(bound: dict[str, Bound], wanted: Container[str]) -> dict[str, Bound]:
    """The options, of those that say the same of it the declared one, or else the one that names no other resource."""
    chosen: dict[Any, str] = {}
    for n in sorted(bound, key=lambda n: (n not in wanted, bound[n].field.target is not None)):
        chosen.setdefault(tuple(f.full_name for f in bound[n].where.get("read") or ()) or n, n)
    return {n: bound[n] for n in chosen.values()}


class Drift:
    """Rows for what is not as the record has it."""

    def __init__(self, session: Reading, found: list[Found], record: dict[str, Any]) -> None:
        self.session, self.record = session, record
        self.names = Names(session, found)
        self.found = {self.called(one): one for one in found if not one.by_cloud}
        self.rows: list[dict[str, Any]] = []

    def called(self, one: Found) -> str:
        return one.called(self.naming(one))

    def compare(self, declared: dict[str, dict[str, Any]]) -> None:
        """All that the record names, then what neither it nor a declaration does."""
        recorded: dict[str, dict[str, Any]] = self.record["seen"]
        for item, seen in recorded.items():
            self.one(item, seen, declared.get(item))
        dropped = {f"{row['kind']} {row['name']}" for row in self.record.get("undeclared", ())}
        same = {BY_KIND[item.partition(" ")[0]].same_as for item in recorded}
        own = self.session.credentials.account
        for item, one in self.found.items():
            kind, _, name = item.partition(" ")
            if item in recorded or item in declared or item in dropped or kind in same:
                continue
            if not own or own not in (one.backend.id, one.keys.get("service_account")):
                self.rows.append(row("new", kind, name, since=clock(getattr(one.backend.raw, "created_at", None))))

    def one(self, item: str, seen: dict[str, Any], declared: dict[str, Any] | None) -> None:
        """What is different of one thing, without what the declarations want as it is by now."""
        kind, _, name = item.partition(" ")
        there = self.found.get(item) or self.told_otherwise(kind, name)
        if there is None:
            self.rows.append(row("gone", kind, name))
            return
        wanted = as_declared(there, declared, seen, self.session) if declared else {}
        edited = [
            {"field": field, "old": then, "new": now, "left": wanted.get(n) != OTHERWISE}
            for n, b in told_once(there.backend.bound, wanted).items()
            if n in seen and wanted.get(n) != AS_DECLARED and (n in wanted or not has_secret(b))
            for field, now, then in self.edited(there, b, seen[n], n in wanted)
        ]
        edited += self.version(item, there)
        told = self.since(there.backend, name) if edited else {}
        self.rows += [row("changed", kind, name, **one, **told) for one in edited]

    def edited(self, there: Found, bound: Bound, seen: Any, declared: bool) -> Iterable[tuple[str, Any, Any]]:
        """Field by field what is there and what was seen, of one option."""
        name = bound.field.name
        now = (there.there if declared else there.have).get(name)
        if may_hide(bound) and not declared:
            seen, now = fingerprints(seen), fingerprints(now)
        return edits(bound, seen, now, self.naming(there), name, True)

    def version(self, item: str, there: Found) -> list[dict[str, Any]]:
        """A secret shows no value: its current version tells that somebody has written another one."""
        kind, _, name = item.partition(" ")
        known = self.record.get("secrets", {}).get(name) if kind == "lockbox_secret" else None
        if known is None or known == (current := there.backend.raw.current_version.id):
            return []
        return [{"field": "current_version", "old": known or None, "new": current or None, "left": False}]

    def told_otherwise(self, kind: str, name: str) -> Found | None:
        """What an export says by another kind: asked for by its name."""
        resource = BY_KIND[kind]
        if not resource.same_as:
            return None
        own = [n for n, b in self.session.bound(resource).items() if b.field.key and not b.field.env]
        params = dict.fromkeys(self.session.bound(resource)) | {own[0]: name, "state": "present"}
        engine = Run(resource.backend(self.session, resource, params), params, self.session, True)
        have = engine.find()
        return Found(resource, engine.backend, engine.backend.keys, have, have) if have else None

    def naming(self, one: Found) -> Callable[[Any, Any], Any]:
        return lambda f, value: self.names.name(one.resource, f, value)

    def since(self, backend: Any, name: str) -> dict[str, str]:
        """When and by whom it was changed last, from the operations that its service keeps; of what lives inside another
        resource, from those of that one which name it."""
        parent = backend.resource.parent
        own = backend.methods.get(OPERATIONS)
        if own is not None and backend.resource.id_field in own.input_type.fields_by_name:
            service, ident, within = backend.service, {backend.resource.id_field: backend.id}, b""
        elif parent is not None and parent.target is not None and parent.name in backend.keys:
            target = parent.target
            service = target.service or f"{target.api}Service"
            ident, within = {target.id_field: backend.keys[parent.name]}, name.rpartition("/")[2].encode()
        else:
            return {}
        if OPERATIONS not in methods(service):
            return {}
        try:
            listed = list(self.session.pages(service, OPERATIONS, **ident))
        except (ApiFail, NoService):  # whoever looks may not see them, and can do without
            return {}
        done = [op for op in listed if not within or names(op.metadata.value, within)]
        last = max(done, key=lambda op: op.created_at.ToNanoseconds(), default=None)
        if last is None or clock(last.created_at) < self.record["started"]:
            return {}
        return {"since": clock(last.created_at), "by": last.created_by}


def names(packed: bytes, name: bytes) -> bool:
    """Whether a packed message has a field that is this text: its length stands before it."""
    return bytes([len(name)]) + name in packed


def refuse_a_run(session: Reading, found: list[Found]) -> None:
    """Take out the lease of a run that is over. Raises Fail for one that goes on: what it has half done is no drift."""
    for one in list(found):
        if one.resource.kind == "iam_service_account" and one.keys.get("name") == name_in(session.folder):
            if ends(one.backend.raw) > time.time():
                holder = one.backend.raw.description
                raise Fail(f"a run is changing folder {session.folder} ({holder}): look again when it is over")
            found.remove(one)


def clock(moment: Any) -> str:
    """A time as the record has it; nothing where there is none."""
    return moment.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ") if moment and moment.seconds else ""
