"""What Ansible sees of a resource: the argument spec, and declarations checked against it."""

from __future__ import annotations

import itertools
import re
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .declaration import Bound, Fail, has_secret, walk
from .values import misformed, nearest, spelled

STATES = ["present", "absent", "info"]
CHECKS: dict[int, tuple] = {}  # by the fields, which are kept with it, so that no other ones get their place in memory


def option(bound: Bound) -> dict[str, Any]:
    """The argument spec of one field."""
    f, kind = bound.field, bound.kind
    spec: dict[str, Any] = {"type": {"enum": "str", "map": "dict", "json": "dict", "document": "raw"}.get(kind, kind)}
    if f.unit:
        spec["type"] = "bytes" if f.unit == "size" else "str"
    if kind == "enum":
        spec.update(type=lambda value: spelled(bound.choices, value), choices=sorted(bound.choices))
    if f.write_only:
        spec["no_log"] = True
    elif re.search("pass|secret|token|key", f.name):
        spec["no_log"] = False
    if bound.children and not f.free:
        spec["options"] = {n: option(c) | ({"required": True} if c.required else {}) for n, c in bound.children.items()}
        spec["mutually_exclusive"] = exclusive(bound.children)
    return {**spec, "type": "list", "elements": spec["type"]} if bound.listy else spec


def exclusive(bound: dict[str, Bound]) -> list[list[str]]:
    """Pairs of options that the API knows as alternatives."""
    pairs = itertools.combinations([(n, *b.choice) for n, b in bound.items() if b.choice], 2)
    return [[a, b] for (a, group, member), (b, other, another) in pairs if group == other and member != another]


def argument_spec(backend: Any) -> dict[str, Any]:
    """All options of a resource, the engine's own among them."""
    bound = backend.bound
    spec = {n: option(b) for n, b in bound.items()}
    for n, b in bound.items():
        if b.field.key and b.field.default is not None:
            spec[n]["default"] = b.field.default
        elif b.field.key and not b.field.env:
            spec[n]["required"] = True
    spec["state"] = {"type": "str", "choices": STATES, "default": "present"}
    engine_options = {
        "replace": any(b.immutable for b in bound.values()),
        "allow_stopping": any(b.field.stops for b in bound.values()),
        "update_secrets": any(has_secret(b) for b in walk(bound)),
    }
    if backend.renameable():
        spec["renamed_from"] = {"type": "str"}
    return spec | {n: {"type": "bool", "default": False} for n, wanted in engine_options.items() if wanted}


def relations(backend: Any) -> dict[str, Any]:
    """What else AnsibleModule can check by itself."""
    required_by = {f.name: re.findall(r"{(\w+)}", f.path) for f in backend.resource.fields if "{" in f.path}
    return {"mutually_exclusive": exclusive(backend.bound), "required_by": required_by}


def checks(backend: Any) -> tuple[dict[str, Any], ArgumentSpecValidator]:
    """The argument spec and what checks values against it, made once for all declarations of the same fields."""
    slot = id(backend.bound)
    if slot not in CHECKS:
        spec = argument_spec(backend)
        CHECKS[slot] = backend.bound, spec, ArgumentSpecValidator(spec, **relations(backend))
    return CHECKS[slot][1:]


def strangers(spec: dict[str, Any], values: Any, where: str = "") -> list[str]:
    """A message for each option that does not exist, at any depth, with the nearest one that does."""
    found = []
    for n, v in values.items() if isinstance(values, dict) else ():
        if n not in spec:
            found.append(f"there is no option {where}{n}{nearest(str(n), spec)}")
        elif "options" in spec[n]:
            for one in v if isinstance(v, list) else [v]:
                found += strangers(spec[n]["options"], one, f"{where}{n}.")
    return found


def label(resource: Any, params: dict, keys: Any) -> str:
    """How messages call a declaration: 'postgresql_user pg/app'."""
    said = [str(params[k]) for k in keys if k != "folder" and params.get(k)]
    return f"{resource.kind} {'/'.join(said)}".strip()


def read(resource: Any, values: dict, session: Any, state: str) -> tuple[dict, set, list[str]]:
    """One declaration checked and completed: its parameters, the secret values in it, and what is wrong with it."""
    backend = resource.backend(session, resource, values)
    spec, validator = checks(backend)
    wrong = strangers(spec, values)
    if wrong:
        return {}, set(), wrong
    folder = {"folder": session.folder} if session.folder and "folder" in spec else {}  # an option may name it
    checked = validator.validate({"state": state, **folder, **values})
    params = checked.validated_parameters
    messages = checked.error_messages or misformed(backend.bound, params) + backend.wrong(params)
    return params, checked._no_log_values, messages


def read_all(
    declarations: list, resources: list, session: Any, state: str = "present", places: list[str] | None = None
) -> tuple[list, set]:
    """yc_stack's list as [(resource, parameters)] and the secret values in it. Everything wrong is said at once.

    `places` is where the user wrote each of them; by default, `entry 1` and so on.
    """
    kinds, items, secrets, wrong, seen = {r.kind: r for r in resources}, [], set(), [], {}
    places = places or [f"entry {n}" for n, _ in enumerate(declarations, 1)]
    for place, entry in zip(places, declarations, strict=True):
        if not isinstance(entry, dict) or len(entry) != 1 or not isinstance(next(iter(entry.values())), dict):
            wrong.append(
                f"{place}: each entry is one kind of resource with its options, as in vpc_network: {{name: main}}"
            )
            continue
        kind, values = next(iter(entry.items()))
        if kind not in kinds:
            wrong.append(f"{place}: there is no resource {kind}{nearest(kind, kinds)}")
            continue
        resource = kinds[kind]
        keys = [n for n, b in session.bound(resource).items() if b.field.key]
        params, hidden, messages = read(resource, values, session, state)
        name = label(resource, values, keys)
        wrong += [f"{name if name == place else f'{name} ({place})'}: {m}" for m in messages]
        same = (kind, *(str(params.get(k)) for k in keys))
        if not messages and same in seen:
            wrong.append(f"{name} is declared twice, as {seen[same]} and {place}: take one of the two out")
        seen[same] = place
        secrets |= hidden
        items.append((resource, params))
    refuse(wrong + still_declared(items, seen, session))
    return items, secrets


def refuse(wrong: list[str]) -> None:
    """Raises Fail where something is wrong in the declarations, with all of it in one message."""
    if len(wrong) > 1:
        raise Fail("\n- ".join([f"{len(wrong)} things are wrong in the declarations; nothing was touched:", *wrong]))
    if wrong:
        raise Fail(f"{wrong[0]}. Nothing was touched")


def still_declared(items: list, seen: dict[tuple, str], session: Any) -> list[str]:
    """A message for each declaration that is renamed from the name of another one; `seen` is where each of them is."""
    wrong = []
    for resource, params in items:
        old = params.get("renamed_from")
        keys = [n for n, b in session.bound(resource).items() if b.field.key]
        place = seen.get((resource.kind, *(str(old if n == "name" else params.get(n)) for n in keys)))
        if old and place:
            name = label(resource, params, keys)
            wrong.append(f"{name}: renamed_from: {old} is declared too, as {place}: take one of the two out")
    return wrong
