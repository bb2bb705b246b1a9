"""A found thing as a person would declare it: references by name, defaults left out, no secret."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ...module_utils.declaration import Bound, Field, walk
from ...module_utils.protobuf import is_wrapper
from ...module_utils.resource import OURS
from ...module_utils.values import SECONDS, plain, show
from ...module_utils.yandex import needed_by_paths
from .finding import Found
from .names import Names


class Writer:
    """`by_id` are the references of the last declaration that had to be written by their ids."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.by_id: list[str] = []

    def declaration(self, found: Found) -> dict[str, Any]:
        """The options of one thing, its identity first."""
        self.found, self.by_id = found, []
        bound, have = found.backend.bound, found.have
        keys = {n: self.reference(bound[n].field, v) if bound[n].field.target else v for n, v in found.keys.items()}
        options = {n: self.option(n, b, have.get(n)) for n, b in bound.items() if not b.field.key}
        self.choose(options)
        needed = set(needed_by_paths(found.resource)) & options.keys()
        for n in needed:  # even where it is the default: what another option means depends on it
            options[n] = show(bound[n], have[n])
        return {n: v for n, v in (keys | options).items() if v is not None and (n, v) != ("folder", keys.get("folder"))}

    def option(self, name: str, bound: Bound, value: Any) -> Any:
        """The option's value as a declaration says it; None where that says nothing."""
        if bound.field.write_only or name.endswith("_secret") or any(b.field.write_only for b in walk(bound.children)):
            return None
        if name == "labels" and value:
            value = {k: v for k, v in value.items() if k not in OURS}
        return self.value(bound, value) or None if bound.listy else self.value(bound, value)

    def value(self, bound: Bound, value: Any, item: bool = False) -> Any:
        f = bound.field
        if value is None or self.usual(bound, value):
            return None
        if bound.listy:
            return [
                self.value(bound.one(), one, True) if bound.children else self.leaf(bound.one(), one) for one in value
            ]
        if not value and f.default is None and (item or not says_even_empty(bound)):
            return None
        if bound.children:
            said = {n: self.value(b, value.get(n), item) for n, b in bound.children.items()}
            self.drop_implied(bound, said, value)
            said = {n: v for n, v in said.items() if v is not None and v != []}
            return said if said or item else None
        return self.leaf(bound, value)

    def usual(self, bound: Bound, value: Any) -> bool:
        """Whether saying it would say no more than leaving it out."""
        f = bound.field
        if bound.kind == "enum" and not bound.listy and value not in bound.choices.values():
            return True
        given = [d for d in (f.default, f.usual) if d is not None]
        return any(plain(bound, d, lambda _, name: name) == value for d in given)

    def leaf(self, bound: Bound, value: Any) -> Any:
        f = bound.field
        if f.target is not None:
            return self.reference(f, value)
        if f.unit == "duration":
            unit, size = next((u, s) for u, s in sorted(SECONDS.items(), key=lambda one: -one[1]) if value % s == 0)
            return f"{value // size}{unit}" if value else "0s"
        return show(bound, value)

    def reference(self, f: Field, value: Any) -> Any:
        """By name; a value that is taken and belongs to nothing that was found says nothing."""
        name = self.names.known(self.found.resource, f, value)
        if name or f.take:
            return name or None
        self.by_id.append(f"{f.name}: {value}")
        return value

    def drop_implied(self, bound: Bound, said: dict[str, Any], value: dict[str, Any]) -> None:
        """What another option of the same message brings with it: a switch, and a name that the cloud takes from an id."""
        ids = [value.get(n) for n, b in bound.children.items() if b.field.target is not None]
        for n, b in bound.children.items():
            if (b.field.implied and said.get(b.field.implied)) or (
                b.field.computed and b.field.target is None and value.get(n) in ids
            ):
                said[n] = None

    def choose(self, options: dict[str, Any]) -> None:
        """Of several options that mean one field of the API: the one that says it by names, else the last that can."""
        bound = self.found.backend.bound
        groups = Counter(b.choice[0] for n, b in bound.items() if b.choice and b.choice[0].startswith("path "))
        for group, _ in groups.items():
            among = [n for n, b in bound.items() if b.choice and b.choice[0] == group and options.get(n)]
            best = next((n for n in sorted(among, key=self.rank) if self.whole(n, options[n])), None)
            for n in among:
                if n != best:
                    options[n] = None
            self.by_id = [said for said in self.by_id if said.partition(":")[0] not in among or best in said]

    def rank(self, name: str) -> tuple[bool, bool]:
        """References that take a value, which are names or nothing, come before ids, and those before text."""
        f = self.found.backend.bound[name].field
        return (not f.take, f.target is None or self.by_id_too(name))

    def by_id_too(self, name: str) -> bool:
        return any(said.partition(":")[0] == name for said in self.by_id)

    def whole(self, name: str, value: Any) -> bool:
        """Whether all of it has a name."""
        return None not in value if isinstance(value, list) else True


def says_even_empty(bound: Bound) -> bool:
    """Whether the API tells an empty value from none."""
    path = bound.where.get("read")
    return bool(path and path[-1].message_type and is_wrapper(path[-1].message_type))
