"""Everything in a folder that a declaration could say, found by the backends of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.declaration import Fail, Resource
from ...module_utils.options import label
from ...module_utils.resources import ALL
from ...module_utils.yandex import FOLDER, needed_by_paths
from .reading import Reading

KINDS = [resource for resource in ALL if not resource.same_as]


@dataclass(eq=False)
class Found:
    """One thing in the folder: its backend with what the API shows, and the plain values of all its options."""

    resource: Resource
    backend: Any
    keys: dict[str, str]
    there: dict[str, Any]  # as the engine compares it
    have: dict[str, Any]  # as a declaration could say it
    by_cloud: bool = False  # nobody made it: only its keys are known
    wrong: list[str] = field(default_factory=list)  # why it cannot be declared, or not as a whole

    def called(self, name: Callable[[Any, str], str]) -> str:
        """What messages call it; `name` says what a reference is called."""
        bound = self.backend.bound
        said = {n: name(bound[n].field, v) if bound[n].field.target else v for n, v in self.keys.items()}
        return label(self.resource, said, said) if said.get("name", "-") else f"{self.resource.kind} {self.backend.id}"


def everything(session: Reading, workers: int) -> list[Found]:
    """All of the folder, each kind in the order in which it was listed, without what is only a part of something."""
    with ThreadPoolExecutor(workers) as pool:
        of_folder = [r for r in KINDS if r.parent is FOLDER]
        rows = dict(zip(of_folder, pool.map(lambda r: listed(session, r, session.folder), of_folder), strict=True))
        inside = [(r, row.id) for r in KINDS if r.parent is not FOLDER for row in rows_of(r.parent.target, rows)]
        within = list(pool.map(lambda one: listed(session, *one), inside))
        for (resource, _), more in zip(inside, within, strict=True):
            rows.setdefault(resource, []).extend(more)
        found = pool.map(lambda one: adopted(session, *one), [(r, *one) for r in KINDS for one in rows.get(r, ())])
        there = [one for one in found if one is not None]
    parts = {ident for one in there if not one.by_cloud for ident in one.backend.parts()}
    return [one for one in there if one.backend.id not in parts]


def rows_of(target: Resource, rows: dict[Resource, list]) -> Iterable[Any]:
    """What was listed of the kind that a reference is to."""
    return (row for resource, found in rows.items() if resource.api == target.api for row, _ in found)


def listed(session: Reading, resource: Resource, parent: str) -> list[tuple[Any, dict[str, str]]]:
    """The rows of a kind in its folder, or in another resource, each with its keys."""
    backend = resource.backend(session, resource, {})
    backend.keys = {resource.parent.name: parent}
    rows = list(backend.everything())
    for row in rows:
        session.know(resource, row)
    return [(row, backend.keys_of(row)) for row in rows]


def adopted(session: Reading, resource: Resource, row: Any, keys: dict[str, str]) -> Found | None:
    """One of them with all that its kind knows of it; None where it has gone meanwhile."""
    params: dict[str, Any] = {}
    found = Found(resource, resource.backend(session, resource, params), keys, {}, {})
    found.backend.keys = keys
    if found.backend.made_by_cloud(row):
        found.by_cloud, found.backend.id = True, getattr(row, "id", "")
        return found
    there = found.backend.adopt(row)
    if there is None:
        return None
    params = {n: there.get(n) for n in needed_by_paths(resource)}
    if params:
        try:
            other = resource.backend(session, resource, params)
        except Fail as error:
            found.wrong.append(str(error))
        else:
            other.keys, found.backend = keys, other
            there = other.adopt(row)
    found.there, found.have = there, found.backend.closer(there)
    session.remember(found.backend)
    return found
