"""What a declaration is made of: fields, references, resources. Values only; nothing here acts."""

from __future__ import annotations

import functools
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

# what a service is called where the noun alone says too little
PRODUCTS = {
    "api": "API",
    "certificatemanager": "Certificate Manager",
    "containerregistry": "Container Registry",
    "dns": "DNS",
    "kms": "KMS",
    "lockbox": "Lockbox",
    "logging": "Cloud Logging",
    "postgresql": "PostgreSQL",
    "serverless": "serverless",
    "storage": "Object Storage",
}


class Fail(Exception):
    """An error for the user: what went wrong and what to do. `item` is the declaration that it happened in."""

    def __init__(self, message: str, item: str = "") -> None:
        super().__init__(message)
        self.item = item

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.item}: {message}" if self.item else message


def fault(error: Exception) -> str:
    """What a person is told of an error that is this project's own."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{at.filename.rpartition('/')[2]}:{at.lineno}"
    return f"this is a fault of stagecraft.platform ({where}): {type(error).__name__}: {error}"


class Unknown(str):
    """In check mode: the id of something that does not exist yet."""


@dataclass(frozen=True)
class Field:
    """One option of a resource. What is not said here is taken from the API's descriptors."""

    name: str
    doc: str = ""  # empty: the API's own text
    path: str = ""  # in the API, in the resource's spelling; default: the name
    fields: tuple[Field, ...] = ()  # of a nested message; empty: all of the API's, under the API's names
    unit: str = ""  # "size" (20GB) or "duration" (5m)
    form: str = ""  # what a text or number has to look like, which the API says too late: one of values.FORMS
    on: dict | None = None  # a boolean for the user, this message for the API
    target: Any = None  # a reference, by name, to this Resource
    take: Any = ""  # of a reference: this value of the target instead of its id; a path or a function
    default: Any = None  # sent at creation when unset
    usual: Any = None  # what the cloud takes by itself when unset
    key: bool = False  # part of the identity
    required: bool = False  # needed at creation
    immutable: bool = False  # also derived: what the update request lacks
    fixed: str = ""  # cannot be changed even by replacing the resource; says what to do instead
    write_only: bool = False  # secret: sent at creation or with update_secrets, never compared or shown
    renewed: bool = False  # the cloud makes the value behind it anew with update_secrets
    create_only: bool = False  # sent at creation, neither read back nor compared
    computed: bool = False  # in a list item: unset means "whatever the cloud chose"
    ordered: bool = False  # a list whose order matters
    stops: bool = False  # can change only while the resource is stopped
    late: bool = False  # may be left out at creation and added later, to break a circle of references
    gives: bool = False  # of a reference to an account: it is given roles
    acts: bool = False  # of a reference to an account: something starts as it, so its roles come first
    free: bool = False  # a dictionary checked by the API's descriptor, not by sub-options
    document: bool = False  # a whole document, as text or as a mapping; compared by what it says, not how
    listed: str = ""  # read with this method of the service instead of from the resource
    via: str = ""  # "boot_disk.disk_id:compute.v1.Disk": read from that other resource
    mask: str = ""  # what an update's mask calls it, where that is not its path
    env: str = ""  # the environment variable behind it, which the session reads
    upper: bool = False  # a text that the API has in upper case and a person need not
    implied: str = ""  # of a switch: it is on where this other option is given
    verbs: bool = False  # changed by verbs of its own: the backend says what of it cannot be
    choices: tuple[str, ...] = ()  # of a virtual field
    many: bool = False  # of a virtual field: a list
    virtual: bool = False  # not in the API's messages: the backend reads and writes it itself


SELF = object()  # a reference to another resource of the same type


def Ref(name: str, target: Any, doc: str = "", path: str = "", **more: Any) -> Field:
    """A reference by name; to many where the API's field is repeated."""
    title = name.replace("_", " ") if target is SELF else target.title
    return Field(name, doc or f"Name of the {title}.", path or f"{name}_id", target=target, **more)


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind of thing in a cloud. With only its API name and its parent it is enough to refer to one."""

    api: str  # "vpc.v1.Subnet"
    backend: type
    fields: tuple[Field, ...] = ()
    template: tuple[Field, ...] = ()  # of what is never changed but followed by another one: its backend binds them
    parent: Field | None = None
    example: str = ""
    module: str = ""
    service: str = ""  # where the methods are, if not in <api>Service
    message: str = ""  # what the fields are in, if not in Create's request and Get's answer
    view: str = ""  # of Get, to see everything
    ident: str = ""  # what requests call its id, if not <noun>_id
    note: str = ""  # a sentence for the documentation
    same_as: str = ""  # the kind by which an export says it
    filled: tuple[str, ...] = ()  # "path=value", or a path: what the cloud fills in, which is no option and no loss
    details: tuple[tuple[str, ...], ...] = ()  # (name, text, type if no list) of what `state: info` shows beside that

    @functools.cached_property
    def noun(self) -> str:
        return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", self.api.rpartition(".")[2]).lower()

    @property
    def id_field(self) -> str:
        return self.ident or f"{self.noun}_id"

    @property
    def title(self) -> str:
        """What documentation calls it."""
        service, _, noun = self.kind.partition("_")
        return f"{PRODUCTS.get(service, '')} {noun.replace('_', ' ')}".strip()

    @property
    def name(self) -> str:
        """The name of its module."""
        return self.module or f"yc_{self.api.split('.')[0]}_{self.noun}"

    @functools.cached_property
    def kind(self) -> str:
        """What yc_stack calls it."""
        return self.name.removeprefix("yc_")


@dataclass
class Bound:
    """A field with what the backend found out about it."""

    field: Field
    kind: str  # str int float bool enum map dict json document
    many: bool = False
    choices: dict[str, str] = field(default_factory=dict)  # user's spelling -> API's
    children: dict[str, Bound] = field(default_factory=dict)
    immutable: bool = False
    required: bool = False
    choice: tuple[str, ...] = ()  # (group, member): only one member of a group can be set
    where: dict[str, Any] = field(default_factory=dict)  # backend's own: write, update, read
    later: bool = False  # creation does not take it: an update right after does

    @property
    def listy(self) -> bool:
        return self.many and self.kind != "map"

    def one(self) -> Bound:
        """The same field as an item of its list."""
        return replace(self, many=False)


def walk(bound: dict[str, Bound]) -> Iterator[Bound]:
    """Every field, nested ones too."""
    for b in bound.values():
        yield b
        yield from walk(b.children)


def has_secret(bound: Bound) -> bool:
    """Whether update_secrets sends something of it again, or has the cloud make it anew."""
    return any(b.field.write_only or b.field.renewed for b in walk({bound.field.name: bound}))


def references(bound: dict[str, Bound], values: dict) -> Iterator[tuple[Field, str, str]]:
    """(field, name, top-level option) of every reference inside a resource's values, however deep."""
    for name, b in bound.items():
        given = values.get(name)
        for one in (given if isinstance(given, list) else [given]) if given else ():
            if b.field.target is not None:
                yield b.field, str(one), name
            elif b.children and isinstance(one, dict):
                for found, target, _ in references(b.children, one):
                    yield found, target, name
