"""A backend that keeps resources in a dictionary and notes what it is asked to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Bound, Fail, Field, Ref, Resource


class Fake:
    """What a backend has to do, over `session.things`. Kinds and nesting come from the declaration itself."""

    def __init__(self, session: Any, resource: Resource, params: dict) -> None:
        self.session, self.resource, self.keys, self.id, self.raw = session, resource, {}, "", None
        self.bound = {f.name: bind(f) for f in resource.fields}

    @property
    def place(self) -> tuple:
        return (self.resource.api, *sorted(self.keys.items()))

    def find(self) -> dict | None:
        self.raw = self.session.things.get(self.place)
        self.id = "/".join(map(str, self.place)) if self.raw is not None else ""
        return self.raw

    def examine(self, wanted: dict, have: dict) -> None: ...

    def frozen(self, name: str, want: Any, have: Any) -> bool:
        return self.bound[name].immutable

    def name_of(self, ident: str) -> str:
        return next(n for (_, (_, n)) in self.session.things if n in ident)

    def running(self) -> bool:
        return bool(self.raw and self.raw.get("running"))

    def note(self, verb: str, **what: Any) -> None:
        self.session.asked.append((verb, self.keys.get("name"), what))
        if (verb, self.keys.get("name")) in self.session.broken:
            raise Fail("broken")

    def create(self, wanted: dict) -> None:
        self.note("create", wanted=wanted)
        self.session.things[self.place] = dict(wanted)
        self.find()

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        self.note("update", changed=changed, stop=stop)
        self.session.things[self.place].update({n: wanted[n] for n in changed})
        self.find()

    def delete(self) -> None:
        self.note("delete")
        del self.session.things[self.place]

    def details(self) -> dict:
        return {}

    def returned(self) -> dict:
        return dict(self.raw or {})


def bind(f: Field) -> Bound:
    """A fake API knows a field's type by its default, and nothing else of it."""
    kind = {dict: "map", bool: "bool", int: "int"}.get(type(f.default), "str")
    children = {c.name: bind(c) for c in f.fields}
    many = bool(children) or (f.name.endswith("s") and kind == "str")
    field_default = None if kind == "map" else f.default
    return Bound(
        Field(**{**vars(f), "default": field_default}),
        "dict" if children else kind,
        many=many,
        children=children,
        immutable=f.immutable,
        required=f.required,
    )


class Session(SimpleNamespace):
    """A session without a cloud: what there is, and what was asked."""

    def __init__(self, **labels: str) -> None:
        super().__init__(things={}, asked=[], broken=set(), stage_labels=labels, folder="f")
        self.secrets, self.applied_secrets = {}, None

    def bound(self, resource: Resource) -> dict[str, Bound]:
        return resource.backend(self, resource, {}).bound

    def resolve(self, target: Resource, keys: dict, take: Any = "") -> Any:
        backend = target.backend(self, target, {})
        backend.keys = keys
        return backend.id if backend.find() is not None else None

    def names(self, target: Resource, keys: dict) -> list[str]:
        return [dict(place)["name"] for api, *place in self.things if api == target.api]

    def secret(self, secret_id: str, key: str) -> str:
        return self.secrets[secret_id, key]

    def remember(self, backend: Fake) -> None: ...

    def forget(self, backend: Fake) -> None: ...


NAME = Field("name", key=True)
PLACE = Resource("fake.v1.Place", Fake, fields=(NAME,))
THING = Resource(
    "fake.v1.Thing",
    Fake,
    fields=(
        NAME,
        Ref("place", PLACE, required=True, immutable=True),
        Field("labels", default={}),
        Field("size", default=1, stops=True),
        Field("color"),
        Field("password", write_only=True),
        Ref("friends", PLACE),
    ),
)
CHAIN = Resource("fake.v1.Chain", Fake, fields=(NAME, Ref("place", PLACE)))
