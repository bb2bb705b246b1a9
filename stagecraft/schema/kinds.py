"""The engine's kinds as JSON Schema: what one declaration may say, and how many of a kind are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stagecraft.schema.options import TEMPLATE, Schema, exclusions, mapping, schema
from stagecraft.sources import PLUGINS, documented

ONE, MANY = "#/definitions/", "#/definitions/many_"


def definitions() -> dict[str, Schema]:
    """Kind -> what one declaration of it may say, all options of the engine among them."""
    from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL

    return {resource.kind: definition(resource) for resource in sorted(ALL, key=lambda resource: str(resource.kind))}


def definition(resource: Any) -> Schema:
    from ansible_collections.stagecraft.platform.plugins.module_utils import options as engine

    backend = resource.backend(None, resource, {})
    spec, relations = engine.argument_spec(backend), engine.relations(backend)
    said = documented(PLUGINS / "modules" / f"{resource.name}.py")["options"]
    optional = {name: one | {"required": False} for name, one in spec.items()}  # keys are asked for where it is used
    found = mapping(optional, backend.bound, said, {})
    needed = [n for n, b in backend.bound.items() if b.required and not b.field.key and b.field.default is None]
    found["type"] = ["object", "string"] if needed else ["object", "string", "null"]
    limit(found["properties"], resource.kind)
    found |= at_creation(needed, backend.bound) | exclusions(relations["mutually_exclusive"])
    if others := {name: list(by) for name, by in relations["required_by"].items() if by}:
        found["dependencies"] = others
    return found


def limit(properties: dict[str, Schema], kind: str) -> None:
    """Numbers that the service takes, where the engine knows them."""
    from ansible_collections.stagecraft.platform.plugins.module_utils import serverless_limits

    ranges = {"serverless_container": serverless_limits.RANGES}
    for name, (low, high) in ranges.get(kind, {}).items():
        bounds = {"minimum": low} | ({} if high is None else {"maximum": high})
        means = f"a whole number from {low} to {high}" if high else f"a whole number, {low} or more"
        properties[name] |= bounds | {"errorMessage": means}


def at_creation(needed: list[str], bound: dict[str, Any]) -> Schema:
    """What a thing cannot be made without; a secret may be given by its place. Not asked where a state is said."""
    if not needed:
        return {}
    rules: list[Schema] = [{"required": [name]} for name in needed if f"{name}_secret" not in bound]
    either = [[name, f"{name}_secret"] for name in needed if f"{name}_secret" in bound]
    rules += [{"anyOf": [{"required": [n]} for n in two], "errorMessage": " or ".join(two)} for two in either]
    return {"if": {"not": {"required": ["state"]}}, "then": {"allOf": rules}}


def keys(one: Any) -> list[str]:
    """What has to be said to know which one of its kind it is."""
    from ansible_collections.stagecraft.platform.plugins.module_utils import options as engine

    spec = engine.argument_spec(one.backend(None, one, {}))
    return [name for name, option in spec.items() if option.get("required")]


def collections(defined: dict[str, Schema]) -> dict[str, Schema]:
    """Kind -> many of it, by name or as a list."""
    from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL

    return {one.kind: collection(one.kind, keys(one), defined[one.kind]["properties"]) for one in ALL}


def collection(kind: str, known_by: list[str], options: Schema) -> Schema:
    named = "name" in options
    by_name = {"additionalProperties": entry(kind, [key for key in known_by if key != "name"])} if named else {}
    return {
        "description": f"Declarations of {kind}{', by name or as a list' if named else ', as a list'}.",
        "type": [*(["object"] if named else []), "array", "string", "null"],
        "pattern": TEMPLATE,
        "errorMessage": f"{kind} by name, as in {{main: {{...}}}}, or a list" if named else f"a list of {kind}",
        "items": entry(kind, known_by),
        **by_name,
    }


def entry(kind: str, required: list[str]) -> Schema:
    """One declaration, with what its place does not say of it."""
    reference: Schema = {"$ref": ONE + kind}
    return {"allOf": [reference, {"required": required}]} if required else reference


def resources(kinds: Iterable[str]) -> Schema:
    """What yc_stack takes: collections by kind, or a list of declarations."""
    return {
        "type": ["object", "array", "string"],
        "pattern": TEMPLATE,
        "properties": {kind: {"$ref": MANY + kind} for kind in kinds},
        "additionalProperties": False,
        "items": {
            "type": ["object", "string"],
            "pattern": TEMPLATE,
            "properties": {kind: {"$ref": f"{MANY}{kind}/items"} for kind in kinds},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    }


def machines(compute: Schema) -> Schema:
    """A stage's machines by role: what the filter `instances` reads of each, as an instance has it."""
    from ansible_collections.stagecraft.platform.plugins.filter import stage

    own = {
        "count": schema({"type": "int", "description": "How many of the role, 0 for none."}) | {"minimum": 0},
        "zones": schema({"type": "list", "elements": "str", "description": "They are spread over these in turn."}),
        "subnet": schema({"description": "It lies in `<subnet>-<letter of its zone>`."}),
        "address": schema({"description": "Name of the reserved public address."}),
        "security_groups": schema({"type": "list", "elements": "str", "description": "Beside `base`; else the role."}),
    }
    own["zones"] |= {"minItems": 1, "errorMessage": "a list of at least one zone"}
    shared = {name: compute["properties"][name] for name in sorted(stage.KNOWN - own.keys())}
    made = [name for rule in compute["then"]["allOf"] for name in rule.get("required", []) if name in stage.PASSED]
    role = {
        "type": ["object", "string"],
        "pattern": TEMPLATE,
        "properties": own | shared,
        "additionalProperties": False,
        "required": ["zones", "subnet", *made],
    }
    return {"type": ["object", "string"], "pattern": TEMPLATE, "errorMessage": "machines by role"} | {
        "additionalProperties": role
    }
