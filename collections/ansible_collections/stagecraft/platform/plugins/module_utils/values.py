"""Values: from the user's spelling to the API's, compared with what is there, and shown as a person writes them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

from .declaration import Bound, Fail, Field

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHOWN = 50  # names in one message
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
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
