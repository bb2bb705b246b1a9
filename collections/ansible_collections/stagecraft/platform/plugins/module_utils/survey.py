"""What a backend knows of all of its kind: their names, and for an export what a declaration could say of each.

A kind whose service answers otherwise than most overrides one of these, never the export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .protobuf import get

PAGE = 1000  # the API's own limit


class Surveyed:
    """Verbs of a backend that has its parent's key in `keys` before `everything`, and all its keys before `adopt`."""

    def rows_of_kind(self, **more: Any) -> Iterator[Any]:
        """What List answers where the keys say."""
        request = self.request("List", **more)
        return self.session.pages(self.service, **{f.name: getattr(request, f.name) for f, _ in request.ListFields()})

    def names(self) -> list[str]:
        """The names of all of its kind, where the keys say."""
        return [row.name for row in self.rows_of_kind()]

    # ---- for an export ----
    def everything(self) -> Iterable[Any]:
        """What the API shows of all of its kind, where the parent's key says."""
        if "List" in self.methods:
            return self.rows_of_kind(page_size=PAGE)
        return [] if self.find() is None else [self.raw]

    def keys_of(self, row: Any) -> dict[str, str]:
        """What would find this one again."""
        own = {n: b for n, b in self.bound.items() if b.field.key and n not in self.keys}
        return self.keys | {n: get(row, b.where["read"], b) for n, b in own.items()}

    def made_by_cloud(self, row: Any) -> bool:
        """Whether it comes and goes with what it is in, so that nobody declares it."""
        return bool(getattr(row, "default_for_network", False))

    def adopt(self, row: Any) -> dict | None:
        """Take one that was listed for the one that is found; None where it has gone meanwhile."""
        self.id = getattr(row, "id", "")
        return self.look(None if self.resource.view else row)

    def closer(self, have: dict) -> dict[str, Any]:
        """What is there, as `adopt` has it, with what is otherwise asked for only where a declaration says it."""
        return dict(have)

    def parts(self) -> list[str]:
        """Ids of resources that come and go with it."""
        return []

    def to_provide(self) -> list[str]:
        """The secret options that are not read back, and that making it anew would need."""
        return [n for n, b in self.bound.items() if b.field.write_only and b.required]

    def beside(self) -> list[str]:
        """What holds of it that no option says."""
        return []

    def shown(self) -> list[tuple[Any, list[Any], set[str]]]:
        """The API's messages of it, each with the requests by which somebody may have set what is in it, and the options
        that say what it says."""
        requests = [self.methods[n].input_type for n in ("Create", "Update") if n in self.methods]
        if self.resource.message:
            requests = [self.message().DESCRIPTOR]
        return [(self.raw, requests, set(self.bound))]
