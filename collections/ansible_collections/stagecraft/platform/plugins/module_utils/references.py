"""What declarations refer to: the identity that it is known by, and that it is there before anything is touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .declaration import SELF, Fail, Resource, references
from .options import label, refuse
from .values import nearest

Item = tuple[Resource, dict]


@dataclass(frozen=True, eq=False)
class Reference:
    """Where a declaration names something."""

    item: str  # what the declaration is called
    option: str
    target: Resource
    name: str
    params: dict  # of the declaration

    def __str__(self) -> str:
        return f"{self.item}: {self.option}"

    @property
    def parent(self) -> str | None:
        """The name of what the target lives in, where that is a resource too."""
        parent = self.target.parent
        return self.params.get(parent.name) if parent is not None and parent.target is not None else None


def called(item: Item, session: Any) -> str:
    """What messages call a declaration."""
    resource, params = item
    return label(resource, params, [n for n, b in session.bound(resource).items() if b.field.key])


def identity(resource: Resource, params: dict, session: Any) -> tuple:
    """What tells one declaration from another: its kind and keys, the folder's default filled in."""
    keys = {n: params.get(n) for n, b in session.bound(resource).items() if b.field.key}
    if "folder" in keys:
        keys["folder"] = keys["folder"] or session.folder
    return (resource.api, *sorted((n, str(v)) for n, v in keys.items()))


def referred(target: Resource, name: str, params: dict, session: Any) -> tuple:
    """The identity of what a reference names: in the same folder, or in the same cluster as who refers to it."""
    keys = {"name": name}
    if target.parent is not None:
        keys[target.parent.name] = params.get(target.parent.name) or (
            session.folder if target.parent.name == "folder" else None
        )
    return (target.api, *sorted((n, str(v)) for n, v in keys.items()))


def nothing(target: Resource, name: str, near: str = "") -> str:
    """The message about a reference to what is not there."""
    return f"there is no {target.kind} {name}{near}: correct the name, declare it in the same list, or create it"


def refuse_unknown(items: list[Item], session: Any, leaving: dict[tuple, str] | None = None, workers: int = 16) -> None:
    """See that all that present declarations refer to is declared with them or is in the cloud, and stays there.

    `leaving` are identities of what else will be gone, with why. What is found is remembered by the session, so that
    nobody asks for it again. Raises Fail with one message that names every other reference.
    """
    declared = {identity(r, p, session) for r, p in items if p["state"] == "present"}
    leaving = departures(items, session) | (leaving or {})
    made = [one for item in items if item[1]["state"] == "present" for one in made_by(item, session)]
    named = [(referred(one.target, one.name, one.params, session), one) for one in made]
    outside = [(who, one) for who, one in named if who not in declared]
    asked = {who: one for who, one in outside if who not in leaving}
    with ThreadPoolExecutor(workers) as pool:
        there = pool.map(lambda one: is_there(one, declared, session), asked.values())
    lost = [(who, one) for (who, one), found in zip(asked.items(), there, strict=True) if not found]
    why = leaving | {who: nothing(one.target, one.name, near(one, declared, leaving, session)) for who, one in lost}
    refuse([f"{one}: {why[who]}" for who, one in outside if who in why])


def made_by(item: Item, session: Any) -> list[Reference]:
    """All references of one declaration."""
    resource, params = item
    found = []
    for f, name, option in references(session.bound(resource), params):
        where = option if option == f.name else f"{option}.{f.name}"
        found.append(Reference(called(item, session), where, resource if f.target is SELF else f.target, name, params))
    return found


def departures(items: list[Item], session: Any) -> dict[tuple, str]:
    """What the list itself deletes or renames, with what is wrong with a reference to it."""
    gone = {}
    for resource, params in items:
        old, new, kind = params.get("renamed_from"), params.get("name"), resource.kind
        if params["state"] == "absent":
            gone[identity(resource, params, session)] = f"the same list deletes {kind} {new}: declare it present"
        elif old:
            before = identity(resource, {**params, "name": old}, session)
            gone[before] = f"the same list renames {kind} {old}: say {new}"
    return gone


def parent_keys(reference: Reference, session: Any) -> dict[str, str] | None:
    """Where the target is looked for; None where that does not exist yet."""
    parent = reference.target.parent
    if reference.parent is None:
        folder = reference.params.get("folder")
        return {"folder": folder} if folder and parent is not None and parent.name == "folder" else {}
    ident = session.resolve(parent.target, {"name": reference.parent})
    return {parent.name: ident} if ident else None


def is_there(reference: Reference, declared: set[tuple], session: Any) -> bool:
    """Whether the cloud has it. Nothing is said of what is in a cluster that is neither there nor declared: that is
    said of the cluster."""
    try:
        keys = parent_keys(reference, session)
        if keys is None:
            return referred(reference.target.parent.target, reference.parent, reference.params, session) not in declared
        return session.resolve(reference.target, {**keys, "name": reference.name}) is not None
    except Fail as error:
        error.item = error.item or str(reference)
        raise


def near(reference: Reference, declared: set[tuple], leaving: dict[tuple, str], session: Any) -> str:
    """The nearest name that is declared or in the cloud, and stays."""
    keys = parent_keys(reference, session)
    there = session.names(reference.target, keys) if keys is not None else []

    def at(name: str) -> tuple:
        return referred(reference.target, name, reference.params, session)

    names = {dict(who[1:])["name"] for who in declared if who[0] == reference.target.api} | {*there}
    stay = sorted(name for name in names if at(name) in declared or (name in there and at(name) not in leaving))
    return nearest(reference.name, stay)
