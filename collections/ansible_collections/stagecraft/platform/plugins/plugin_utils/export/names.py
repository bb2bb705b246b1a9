"""What references are called: the names of what was found, by id or by the value that a reference takes."""

from __future__ import annotations

from typing import Any

from ...module_utils.declaration import SELF, Fail, Field, Resource
from ...module_utils.protobuf import dig
from .finding import Found
from .reading import Reading


class Names:
    """A name is good where exactly one thing of its kind has it, in its place."""

    def __init__(self, session: Reading, found: list[Found]) -> None:
        self.session, self.found = session, found
        self.by_id: dict[tuple, str] = {}
        self.taken: dict[tuple, dict[Any, str]] = {}
        for one in found:
            if not one.by_cloud and (name := one.keys.get("name")):
                self.by_id[one.resource.api, one.backend.id] = name

    def known(self, resource: Resource, f: Field, value: Any) -> str:
        """The name behind a reference's value; empty where nothing that was found has it."""
        target = resource if f.target is SELF else f.target
        if f.take:
            return self.takes(target, f.take).get(value, "")
        if target.parent is None:
            slot = (target.api, value)
            if slot not in self.by_id:
                self.by_id[slot] = target.backend(self.session, target, {}).name_of(value)
            return self.by_id[slot]
        return self.by_id.get((target.api, value), "")

    def name(self, resource: Resource, f: Field, value: Any) -> str:
        """The name, or else the id, which the engine takes too."""
        return self.known(resource, f, value) or value

    def takes(self, target: Resource, take: Any) -> dict[Any, str]:
        """The names of a kind by the value that a reference takes of it."""
        slot = (target.api, take)
        if slot not in self.taken:
            of_kind = [one for one in self.found if one.resource.api == target.api and not one.by_cloud]
            there = [(one, name) for one in of_kind if (name := one.keys.get("name"))]
            self.taken[slot] = {value: name for one, name in reversed(there) if (value := self.taken_of(one, take))}
        return self.taken[slot]

    def taken_of(self, one: Found, take: Any) -> Any:
        try:
            return take(self.session, one.backend.raw) if callable(take) else dig(one.backend.raw, take)
        except (Fail, IndexError):  # it has none
            return None
