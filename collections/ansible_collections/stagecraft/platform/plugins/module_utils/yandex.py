"""The Yandex Cloud backend: the verbs of an ordinary resource. An odd one overrides some of them, never the engine."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

from . import declaration
from .declaration import SELF, Bound, Fail, Field, Ref
from .descriptors import methods, new
from .protobuf import alternatives, bind, chain, dig, get, put, tidy
from .session import Session, pauses
from .survey import Surveyed
from .values import same

__all__ = ["FOLDER", "SECRET", "SELF", "Fail", "Field", "Ref", "Resource", "Session", "Yandex"]

BUSY = {"CREATING", "PROVISIONING", "STARTING", "STOPPING", "RESTARTING", "UPDATING", "DELETING"}
SETTLING = 5  # seconds for which Get and List may not show something new
ID = re.compile(r"[a-z][a-z0-9]{19}")
COMMON = ("name", "description", "labels", "deletion_protection")  # every resource that has them has them the same way
BOUNDS: dict[tuple, dict[str, Bound]] = {}  # what `bind` found, by resource and what its paths depend on
FOLDER = Field("folder", "ID of the folder.", path="folder_id", key=True, env="YC_FOLDER_ID")


class Yandex(Surveyed):
    """One resource in the cloud. `keys` is its identity, `id` and `raw` what was found, `bound` its fields.
    Without a session it is good for its fields only."""

    def __init__(self, session: Session | None, resource: declaration.Resource, params: dict) -> None:
        self.session, self.resource = session, resource
        self.id, self.raw, self.keys, self.listed = "", None, {}, {}
        self.service = resource.service or f"{resource.api}Service"
        self.methods = methods(self.service)
        slot = (resource, *(params.get(n) for n in needed_by_paths(resource)))
        if slot not in BOUNDS:
            BOUNDS[slot] = self.bind(params)
        self.bound = BOUNDS[slot]

    # ---- fields ----
    def bind(self, params: dict) -> dict[str, Bound]:
        """The declared fields and the common ones, with the API's types."""
        if self.resource.message:
            write = update = read = self.message().DESCRIPTOR
            common = []
        else:
            write, read = self.methods["Create"].input_type, self.methods["Get"].output_type
            update = self.methods["Update"].input_type if "Update" in self.methods else None
            named = {f.path for f in self.resource.fields}
            common = [
                Field(n, key=n == "name") for n in COMMON if n not in named and chain(write, n, self.resource.noun)
            ]
        values = {f.name: f.default for f in self.resource.fields} | {k: v for k, v in params.items() if v}
        own = [dataclasses.replace(f, path=f.path.format(**values)) for f in self.resource.fields]
        parent = [self.resource.parent] if self.resource.parent is not None else []
        bound = {}
        for f in {f.name: f for f in [*parent, *common, *own]}.values():
            if (
                f is self.resource.parent and chain(write, f.path or f.name) is None
            ):  # a parent the payload does not name
                bound[f.name] = Bound(dataclasses.replace(f, key=True), "str")
            else:
                bound[f.name] = bind(f, write, update, read, self.resource.noun)
        for options in (bound, *(b.children for b in bound.values() if b.field.virtual)):
            alternatives(options)
        return bound | secret_options(bound)

    def message(self) -> Any:
        """An empty message of the type that `message` of the declaration names."""
        pool = next(iter(self.methods.values())).containing_service.file.pool
        return new(pool.FindMessageTypeByName("yandex.cloud." + self.resource.message))

    def request(self, method: str, **values: Any) -> Any:
        """A request with the identity filled in: <noun>_id, <noun>_name and whatever else is a key."""
        message, noun = new(self.methods[method].input_type), self.resource.noun
        known = {self.resource.id_field: self.id, f"{noun}_name": self.keys.get("name", "")}
        for n, v in self.keys.items():
            known[(n in self.bound and self.bound[n].field.path) or n] = v
        for n, v in {**known, **values}.items():
            if n in message.DESCRIPTOR.fields_by_name and v:
                f = message.DESCRIPTOR.fields_by_name[n]
                setattr(message, n, f.enum_type.values_by_name[v].number if f.enum_type and isinstance(v, str) else v)
        return message

    def fill(self, message: Any, values: dict) -> Any:
        for n, v in {**self.keys, **values}.items():
            if self.bound[n].where:
                put(message, self.bound[n], v, "write")
        return message

    def call(self, method: str, request: Any) -> Any:
        return self.session.call(self.service, method, request)

    # ---- find ----
    def find(self) -> dict | None:
        """The plain values of what is there, or None."""
        if "folder" in self.keys and not self.keys["folder"]:
            self.keys["folder"] = self.session.need_folder()
        if self.resource.id_field not in self.methods["Get"].input_type.fields_by_name:
            return self.look()
        row = self.find_by_name()
        if row is None:
            return None
        self.id = row.id
        return self.look(None if self.resource.view else row)

    def find_by_name(self) -> Any:
        """Only an id will do for Get: look the name up, by filter where the API has one."""
        name = self.keys["name"]
        known = {"filter": f'name="{name}"'} if "filter" in self.methods["List"].input_type.fields_by_name else {}
        return next((r for r in self.rows_of_kind(**known) if r.name == name), None)

    def find_by_id(self, ident: str) -> dict | None:
        """As `find`, of what is named by its id."""
        if not (ID.fullmatch(ident) and self.resource.id_field in self.methods["Get"].input_type.fields_by_name):
            return None
        self.id = ident
        return self.look()

    def look(self, row: Any = None) -> dict | None:
        """Read it, and wait while it is being changed by somebody else."""
        for _ in pauses(self.session.timeout):
            self.raw, row = row or self.call("Get", self.request("Get", view=self.resource.view)), None
            if self.raw is None or self.status() not in BUSY:
                break
        else:
            raise Fail(
                f"it is still {self.status().lower()} after {self.session.timeout:.0f} s; run the same again to wait on"
            )
        if self.raw is None:
            self.id = ""
            return None
        self.id = getattr(self.raw, "id", "") or self.keys.get("name", "")
        return self.have()

    def have(self) -> dict[str, Any]:
        """What `raw` says, in plain values."""
        have = {}
        for n, b in self.bound.items():
            if b.where.get("read"):
                have[n] = get(self.raw, b.where["read"], b)
            elif b.field.listed:
                have[n] = self.have_listed(n, b)
            elif b.field.via:
                have[n] = self.have_elsewhere(b)
        return have

    def have_listed(self, name: str, bound: Bound) -> list:
        """A child collection that only a List method shows."""
        page = self.call(bound.field.listed, self.request(bound.field.listed))
        rows = next(f for f in page.DESCRIPTOR.fields if f.is_repeated)
        self.listed[name] = [tidy(x) for x in getattr(page, rows.name)]
        return get(page, [rows], bound)

    def have_elsewhere(self, bound: Bound) -> Any:
        """A field that another resource shows, such as the size of an instance's disk."""
        path, api = bound.field.via.split(":")
        other = Yandex(self.session, declaration.Resource(api, Yandex), {})
        other.id = dig(self.raw, path)
        other.raw = other.call("Get", other.request("Get"))
        return get(other.raw, chain(other.raw.DESCRIPTOR, bound.field.path.rpartition(".")[2]), bound)

    def name_of(self, ident: str) -> str:
        """The name of what has this id; empty where that is gone, or where ids are names anyway."""
        self.id = ident
        if self.resource.id_field not in self.methods["Get"].input_type.fields_by_name:
            return ""
        return getattr(self.call("Get", self.request("Get")), "name", "")

    def status(self) -> str:
        f = self.raw.DESCRIPTOR.fields_by_name.get("status")
        return f.enum_type.values_by_number[self.raw.status].name if f else ""

    def renameable(self) -> bool:
        """Whether its name can change: it is known by an id, and an update takes a new name."""
        name = self.bound.get("name")
        by_id = self.resource.id_field in self.methods["Get"].input_type.fields_by_name
        return bool(by_id and name and name.field.path in ("", "name") and name.where.get("update"))

    def running(self) -> bool:
        return "Stop" in self.methods and self.status() == "RUNNING"

    def wrong(self, params: dict) -> list[str]:
        """What the service never takes, seen in the options alone; nothing is asked for it."""
        return []

    def examine(self, wanted: dict, have: dict) -> None:
        """A closer look, once it is known what is wanted; adds to `have`."""

    def frozen(self, name: str, want: Any, have: Any) -> bool:
        """Whether only a new resource can have this change."""
        return self.bound[name].immutable

    # ---- change ----
    def create(self, wanted: dict) -> None:
        later = [n for n in wanted if self.bound[n].later]
        first = {n: v for n, v in wanted.items() if n not in later}
        answer = self.make(first)
        if self.resource.id_field in self.methods["Get"].input_type.fields_by_name:
            made = new(self.methods["Get"].output_type)
            answer.response.Unpack(made)
            self.id = made.id
        self.appear()
        if later:
            self.update(wanted, later)

    def make(self, wanted: dict) -> Any:
        """The call that makes it, and the finished operation."""
        return self.call("Create", self.fill(self.request("Create"), wanted))

    def appear(self, done: str = "made") -> None:
        """Wait until what was just made or changed is shown: Get and List may know nothing of it for a moment."""
        ident = self.id
        for _ in pauses(self.session.patience):
            self.id = ident
            if self.look() is not None:
                return
        raise Fail(f"it was {done}, but is not shown after {self.session.patience:.0f} s; run the same again to go on")

    def appears(self) -> bool:
        """Whether it is there after all, as when a run that was cut off made it a moment ago."""
        return any(self.find() is not None for _ in pauses(SETTLING))

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        """Send the changed fields, and stop and start it around that where they need it."""
        request, have = self.request("Update"), self.have()
        for n in changed:
            request.update_mask.paths.extend(masks(self.bound[n], wanted[n], have.get(n)))
            put(request, self.bound[n], wanted[n], "update")
        if stop:
            self.call("Stop", self.request("Stop"))
        try:
            self.call("Update", request)
        finally:  # a refused update must not leave it stopped
            if stop:
                self.call("Start", self.request("Start"))
        self.appear("changed")

    def delete(self) -> None:
        self.call("Delete", self.request("Delete"))
        self.id, self.raw = "", None

    def returned(self) -> dict[str, Any]:
        """The resource as its module returns it."""
        return tidy(self.raw) | self.listed

    def details(self) -> dict[str, Any]:
        """What `state: info` shows beside that, because it takes more calls."""
        return {}


@functools.cache
def needed_by_paths(resource: declaration.Resource) -> list[str]:
    """The options that stand in braces in the path of another one."""
    return [n for f in resource.fields for n in re.findall(r"{(\w+)}", f.path)]


def masks(bound: Bound, want: Any, have: Any) -> list[str]:
    """The paths to update: of a message that exists only its changed leaves."""
    path = bound.field.mask or ".".join(f.name for f in bound.where["update"])
    if bound.field.mask or not bound.children or bound.many or not want or not have:
        return [path]
    changed = [n for n, v in want.items() if not same(bound.children[n], v, have.get(n))]
    return [f"{path}." + ".".join(f.name for f in bound.children[n].where["update"]) for n in changed]


def secret_options(bound: dict[str, Bound]) -> dict[str, Bound]:
    """Beside each secret X an option X_secret, which names an entry of Lockbox that holds the value."""
    found = {}
    for n, b in bound.items():
        if not b.field.write_only:
            continue
        group = (f"secret {n}",)
        b.choice = (*group, n)
        doc = f"Where the {n} is kept in Lockbox; it is read from there when it is needed."
        entry = (
            Ref("secret", SECRET, "Name of the secret.", required=True),
            Field("key", "Key of the entry.", required=True),
        )
        f = Field(f"{n}_secret", doc, fields=tuple(dataclasses.replace(e, virtual=True) for e in entry), virtual=True)
        found[f.name] = dataclasses.replace(bind(f, None, None, None), choice=(*group, f.name))
    return found


def Resource(api: str, backend: type = Yandex, parent: Field | None = FOLDER, **more: Any) -> declaration.Resource:
    """A resource of Yandex Cloud, in a folder unless it says what else it lives in."""
    return declaration.Resource(api, backend, parent=parent, **more)


SECRET = Resource("lockbox.v1.Secret")  # to refer to; yandex_lockbox declares it
