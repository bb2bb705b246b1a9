"""Values: from the user's spelling to the API's, compared with what is there, and shown as a person writes them."""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from .declaration import Bound, Fail, Field

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHOWN = 50  # names in one message
LONGEST = 60  # characters of a value in one message
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
PRINT = "sha256:"
Resolve = Callable[[Field, str], Any]


def nearest(word: str, known: Any) -> str:
    """' (did you mean x?)', or the list of what there is where nothing is near; nothing where there is nothing."""
    close = difflib.get_close_matches(word, list(known), 1, 0.5)
    if close or not known:
        return f" (did you mean {close[0]}?)" if close else ""
    names = sorted(known)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f" (there are: {', '.join(names[:SHOWN])}{more})"


def spelled(choices: dict[str, str], value: Any) -> str:
    """An enumeration in lower case, from that, the API's own spelling, or what YAML made of on and off."""
    word = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    return next((k for k, api in choices.items() if word.upper() in (api, k.upper())), word)


def seconds(name: str, value: Any) -> int:
    found = re.fullmatch(r"(\d+)([smhd]?)", str(value).strip())
    if not found:
        raise Fail(f"{name}: {value!r} is not a duration; write 30s, 5m, 2h or 1d")
    return int(found[1]) * SECONDS[found[2] or "s"]


def is_network(value: Any) -> bool:
    try:
        return "/" in str(value) and bool(ipaddress.ip_network(str(value), strict=False))
    except ValueError:
        return False


def is_port(value: Any) -> bool:
    return str(value).isdigit() and int(value) < 1 << 16


def expected(fits: Callable[[Any], bool], what: str) -> Callable[[Any], str]:
    return lambda value: "" if fits(value) else f"is not {what}"


def fault(certificate: str) -> str:
    """What keeps a text from being a good certificate; nothing where it is one."""
    from . import keys  # here, because cryptography would make every run of Ansible start later

    return str(keys.fault(certificate))


# What is wrong with a value of a form; nothing where it is right.
FORMS = {
    "network": expected(is_network, "a network such as 10.10.1.0/24"),
    "port": expected(is_port, "a port, from 0 to 65535"),
    "certificate": fault,
}


def shortened(value: Any) -> str:
    """A value as a message quotes it."""
    return repr(value) if len(str(value)) <= LONGEST else f"{str(value)[:LONGEST]!r}…"


def misformed(bounds: dict[str, Bound], values: dict, where: str = "") -> list[str]:
    """A message for each value, at any depth, that no API would take for what it should be."""
    wrong = []
    for name, bound in bounds.items():
        value = values.get(name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and bound.children:
                wrong += misformed(bound.children, one, f"{where}{name}.")
            elif one is not None and bound.field.form:
                fault_of = FORMS[bound.field.form]
                wrong += [f"{where}{name}: {shortened(one)} {found}"] if (found := fault_of(one)) else []
    return wrong


def document(name: str, value: Any) -> dict[str, Any]:
    """A document that is given as text or as a mapping, with keys as JSON has them. Raises Fail where it is none."""
    try:
        found = yaml.safe_load(value) if isinstance(value, str) else value
    except yaml.YAMLError as error:
        raise Fail(f"{name}: this is neither YAML nor JSON: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise Fail(f"{name}: a document is a mapping, or text that reads as one")
    return json.loads(json.dumps(found, default=str))


def plain(bound: Bound, value: Any, resolve: Resolve) -> Any:
    """The user's value in the API's units and spelling, references replaced by ids."""
    f = bound.field
    if bound.listy:
        found = [plain(bound.one(), v, resolve) for v in value]
        return [
            x for v in found for x in (v if isinstance(v, list) else [v])
        ]  # a reference can stand for several values
    if f.target is not None:
        return resolve(f, str(value)) if value else ""
    if f.upper:
        return str(value).upper()
    if f.unit == "duration":
        return seconds(f.name, value)
    if bound.kind == "document":
        return document(f.name, value)
    if bound.kind == "enum":
        return bound.choices.get(spelled(bound.choices, value), value)
    if bound.kind == "map":
        return {str(k): str(v) for k, v in value.items()}
    if bound.children:
        return plain_message(bound, value, resolve)
    return {"int": int, "float": float, "bool": bool, "str": str}.get(bound.kind, lambda v: v)(value)


def plain_message(bound: Bound, value: dict, resolve: Resolve) -> dict:
    for unknown in sorted(set(value) - set(bound.children)):
        raise Fail(f"{bound.field.name} has no {unknown}{nearest(unknown, bound.children)}")
    given = {n: value.get(n) for n in bound.children}
    given = {n: bound.children[n].field.default if v is None else v for n, v in given.items()}
    given |= {n: True for n, b in bound.children.items() if given[n] is None and given.get(b.field.implied)}
    return {n: plain(bound.children[n], v, resolve) for n, v in given.items() if v is not None}


def same(bound: Bound, want: Any, have: Any, item: bool = False) -> bool:
    """Does `have` already say what `want` says? In a message unset is "leave alone"; in a list item it is "default"."""
    f = bound.field
    if f.write_only or f.create_only:
        return True
    if not want and not have:
        return True
    if bound.listy:
        return same_list(bound, want or [], have or [])
    if bound.children:
        if want is None or have is None or want == {}:
            return False
        names = [n for n in bound.children if n in want or (item and not bound.children[n].field.computed)]
        return all(same(bound.children[n], want.get(n), have.get(n), item) for n in names)
    return want == have


def same_list(bound: Bound, want: list, have: list) -> bool:
    one, rest = bound.one(), list(have)
    if len(rest) != len(want):
        return False
    if bound.field.ordered:
        return all(same(one, w, h, True) for w, h in zip(want, rest, strict=True))
    for w in want:
        match = next((h for h in rest if same(one, w, h, True)), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def without_secrets(bound: Bound, value: Any) -> Any:
    """A plain value without what is secret in it, however deep."""
    if bound.listy:
        return [without_secrets(bound.one(), v) for v in value or []]
    if bound.children and isinstance(value, dict):
        kept = {n: b for n, b in bound.children.items() if n in value and not b.field.write_only}
        return {n: without_secrets(b, value[n]) for n, b in kept.items()}
    return None if bound.field.write_only else value


def may_hide(bound: Bound) -> bool:
    """Whether anybody could have put a secret into it, as into an environment."""
    return bound.kind == "map" and bound.field.name != "labels"


def fingerprints(values: dict[str, Any] | None) -> dict[str, str]:
    """A map whose values can be told apart, and not read."""
    texts = {key: str(value) for key, value in (values or {}).items()}
    return {
        k: v if v.startswith(PRINT) else PRINT + hashlib.sha256(v.encode()).hexdigest()[:12] for k, v in texts.items()
    }


def show(bound: Bound, value: Any, name: Callable[[Field, Any], Any] = lambda f, value: value) -> Any:
    """As a person would write it; `name` says what a reference is called."""
    f = bound.field
    if f.write_only and value is not None:
        return HIDDEN
    if bound.listy:
        return [show(bound.one(), v, name) for v in value or []]
    if f.target is not None:
        return name(f, value) if value else value
    if f.upper:
        return value.lower() if value else value
    if f.unit == "size" and value:
        power = next(p for p in (4, 3, 2, 1, 0) if value % (1 << 10 * p) == 0)
        return f"{value >> 10 * power}{' KMGT'[power].strip()}B"
    if bound.kind == "enum":
        return next((k for k, v in bound.choices.items() if v == value), value)
    if bound.children and value:
        return {n: show(bound.children[n], v, name) for n, v in value.items() if n in bound.children}
    return value


# ---- field by field ----
Name = Callable[[Field, Any], Any]
Edit = tuple[str, Any, Any]  # where, what is there, what is wanted; None is nothing


def edits(bound: Bound, want: Any, have: Any, name: Name, path: str = "", item: bool = False) -> Iterator[Edit]:
    """What differs between two plain values, as deep as it can be told, in the words of `show`."""
    if same(bound, want, have, item):
        return
    if bound.listy and not bound.field.ordered:
        yield from list_edits(bound.one(), want or [], have or [], name, path)
    elif bound.children and not bound.listy and want and have:
        names = [n for n, b in bound.children.items() if n in want or (item and not b.field.computed)]
        for n in names:
            yield from edits(bound.children[n], want.get(n), have.get(n), name, f"{path}.{n}", item)
    elif bound.kind == "map":
        want, have = want or {}, have or {}
        for key in sorted({*want, *have}):
            if want.get(key) != have.get(key):
                yield f"{path}.{key}", have.get(key), want.get(key)
    else:
        yield path, declared(bound, have, name), declared(bound, want, name)


def list_edits(one: Bound, want: list, have: list, name: Name, path: str) -> Iterator[Edit]:
    """What is new in a set, what goes, and what of an item differs, where another one is most like it."""
    gone, new = list(have), []
    for n, w in enumerate(want, 1):
        match = next((h for h in gone if same(one, w, h, True)), None)
        if match is None:
            new.append((n, w))
        else:
            gone.remove(match)
    for n, w in new:
        old = max(gone, key=lambda h: likeness(one, w, h), default=None)
        if old is not None and likeness(one, w, old):
            gone.remove(old)
            yield from edits(one, w, old, name, f"{path}[{n}]", True)
        else:
            yield f"{path}[{n}]", None, declared(one, w, name)
    yield from ((f"{path}[]", declared(one, h, name), None) for h in gone)


def likeness(one: Bound, want: Any, have: Any) -> int:
    """How many of the fields that an item of a list says are the same in another."""
    return sum(n in want and same(b, want[n], have.get(n), True) for n, b in one.children.items())


def declared(bound: Bound, value: Any, name: Name) -> Any:
    """A value as `show` has it, without what nobody declares: what the cloud chose, and what is empty."""
    shown = show(bound, value, name)
    for child in bound.children.values() if isinstance(shown, dict) else ():
        n = child.field.name
        if child.field.computed or shown.get(n) in ("", [], {}, None):
            shown.pop(n, None)
    return shown
