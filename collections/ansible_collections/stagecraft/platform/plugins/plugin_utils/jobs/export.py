"""Declarations of everything in a folder, such that applying them changes nothing; and what they do not say."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.descriptors import methods, new
from ...module_utils.options import read
from ...module_utils.resource import Run
from ...module_utils.services import SERVICES
from ...module_utils.values import plain
from ...module_utils.yandex import FOLDER
from ..connection import hidden
from ..export.finding import KINDS, Found, everything
from ..export.names import Names
from ..export.reading import Reading
from ..export.unsaid import unsaid
from ..export.writing import Writer
from .folder_contents import DECLARED, FOLDERS, resources

WORKERS = 16
GARBAGE = 20_000  # new objects between looks for unused ones: what is found stays to the end, so most looks find none
OWN = (
    "this runs as it: it is left out with its keys and its roles on the folder, because a stage that owned it would delete"
    " it with itself"
)
Say = Callable[[str, str, str], None]  # kind, name, and what is said of it


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """`resources`, by kind as yc_stack takes them, and three lists of [kind, name, text]: `to_provide` names secret values
    that are not exported, `unsaid` what the declarations cannot say, `by_id` references that have no name here.

    `not_asked` are the kinds whose service would not answer, with why. Nothing is changed, and no secret is read.
    Raises Fail where there is no such folder, or it may not be read.
    """
    answers.hide(hidden(request["connection"]))
    gc.set_threshold(GARBAGE)
    session = Reading.from_options(request["connection"])
    session.notice = answers.notice
    refuse_unknown_folder(session)
    with ThreadPoolExecutor(2) as pool:
        others = pool.submit(resources, session, SERVICES.keys() - DECLARED)
        found = everything(session, WORKERS)
        strangers, not_asked = others.result()
    export = Export(session, found)
    for row in strangers:
        export.unsaid.append([row["kind"], row["name"] or row["id"], "this kind cannot be declared"])
    for binding in session.pages(FOLDERS, "ListAccessBindings", resource_id=session.folder):
        if binding.subject.type != "serviceAccount":
            whom = f"{binding.subject.type} {binding.subject.id}"
            export.unsaid.append(["folder", session.folder, f"role {binding.role_id} of {whom}"])
    export.declare()
    return {
        "resources": export.resources,
        "to_provide": export.to_provide,
        "unsaid": export.unsaid,
        "by_id": export.by_id,
        "not_asked": not_asked,
    }


def refuse_unknown_folder(session: Reading) -> None:
    folder = session.need_folder()
    if session.call(FOLDERS, "Get", new(methods(FOLDERS)["Get"].input_type, folder_id=folder)) is None:
        raise Fail(
            f"there is no folder {folder}: give the id of one, as the console and `yc resource-manager folder list` show it"
        )


class Export:
    """What was found, as declarations, each proved by the engine that would apply it."""

    def __init__(self, session: Reading, found: list[Found]) -> None:
        self.session, self.found = session, found
        self.names = Names(session, found)
        self.writer = Writer(self.names)
        self.resources: dict[str, Any] = {}
        self.to_provide: list[list[str]] = []
        self.unsaid: list[list[str]] = []
        self.by_id: list[list[str]] = []
        self.written_by_cloud: set[str] = set()  # secrets that get their entries with a key

    def declare(self) -> None:
        """Every thing that can be told from the others by its name."""
        own = self.session.credentials.account
        if own:
            name = self.names.by_id.get(("iam.v1.ServiceAccount", own), own)
            self.unsaid.append(["iam_service_account", name, OWN])
        seen: set[tuple] = set()
        for one in sorted(self.found, key=lambda one: (KINDS.index(one.resource), self.called(one))):
            identity = (one.resource.kind, *one.keys.items())
            kind, name = one.resource.kind, self.called(one)
            if own and own in (one.backend.id, one.keys.get("service_account")):
                continue
            if one.by_cloud:
                self.unsaid.append([kind, name, "the cloud made it by itself, with what it is in"])
            elif not one.keys.get("name", "-"):
                self.unsaid.append([kind, name, "it has no name: give it one to declare it"])
            elif identity in seen:
                self.unsaid.append([kind, name, f"another one has that name too, and this is {one.backend.id}"])
            else:
                self.one(one, kind, name)
            seen.add(identity)
        kept = ("lockbox_secret", self.written_by_cloud)
        self.to_provide = [row for row in self.to_provide if row[0] != kept[0] or row[1] not in kept[1]]

    def called(self, one: Found) -> str:
        text = one.called(lambda f, value: self.names.name(one.resource, f, value))
        return text.removeprefix(one.resource.kind).strip()

    def one(self, found: Found, kind: str, name: str) -> None:
        values = self.writer.declaration(found)
        by_id = list(self.writer.by_id)
        lost = found.wrong + self.disproved(found, values)
        keys = [n for n in found.keys if n != FOLDER.name]
        if not values.keys() >= set(keys):  # nothing tells it from others then
            self.unsaid += [[kind, name, what] for what in lost]
            return
        if lost and (why := self.unproved(found, values)):
            lost = [what for what in lost if what not in why]
            self.unsaid += [[kind, name, what] for what in [*lost, f"it is left out: {why}"]]
            return
        if keys == ["name"]:
            self.resources.setdefault(kind, {})[name] = {n: v for n, v in values.items() if n != "name"}
        else:
            self.resources.setdefault(kind, []).append(values)
        if place := values.get("save_to"):
            self.written_by_cloud.add(place["secret"])
        self.to_provide += [[kind, name, what] for what in found.backend.to_provide()]
        self.unsaid += [[kind, name, what] for what in [*lost, *unsaid(found), *found.backend.beside()]]
        self.by_id += [[kind, name, what] for what in by_id]

    def disproved(self, found: Found, values: dict[str, Any]) -> list[str]:
        """Take out of a declaration what the engine would not take, or would change; what that is."""
        params, lost = self.taken(found, values)
        engine = Run(found.backend, params, self.session, True)
        lost += self.unknown(engine, found, values)
        try:
            plan = engine.plan(found.there)
        except Fail as error:
            return [*lost, str(error)]
        for n in plan.changed:
            before, after = plan.diff["before"].get(n), plan.diff["after"].get(n)
            lost.append(f"{n}: {before!r} is there, and a declaration of it would make it {after!r}")
            values.pop(n, None)
        return lost

    def unproved(self, found: Found, values: dict[str, Any]) -> str:
        """Why what is left of a declaration could still not be applied, or would change something; empty if neither."""
        params, _, wrong = read(found.resource, values, self.session, "present")
        if wrong:
            return "; ".join(wrong)
        try:
            plan = Run(found.backend, params, self.session, True).plan(found.there)
        except Fail as error:
            return f"the engine cannot compare it: {error}"
        return f"a declaration of it would change {', '.join(plan.changed)}" if plan.changed else ""

    def taken(self, found: Found, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The parameters of a declaration, without the options that would be refused; which those are."""
        lost = []
        params, _, wrong = read(found.resource, values, self.session, "present")
        for n in [n for n in values if n not in found.keys] if wrong else ():
            alone = {k: v for k, v in values.items() if k in found.keys or k == n}
            if why := read(found.resource, alone, self.session, "present")[2]:
                lost.append(f"{n}: {values.pop(n)!r} is there, and a declaration of it is refused: {'; '.join(why)}")
        if wrong:
            params, _, wrong = read(found.resource, values, self.session, "present")
        return params, lost + wrong

    def unknown(self, engine: Run, found: Found, values: dict[str, Any]) -> list[str]:
        """Take out the options that refer to what is gone or may not be seen; which those are."""
        lost = []
        for n in [n for n in values if n in found.backend.bound]:
            engine.missing.clear()
            try:
                plain(found.backend.bound[n], engine.params[n], engine.resolve)
            except Fail as error:
                engine.missing.add(str(error))
            if engine.missing:
                engine.params[n] = None
                lost.append(f"{n}: {values.pop(n)!r} refers to what is gone or may not be seen")
        return lost
