"""Which variable of an inventory holds what: traced from what the stages give to the engine, and from the roles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jinja2
import yaml
from jinja2 import nodes

from stagecraft.delivery import declared as delivery
from stagecraft.rendered import RESOURCES
from stagecraft.schema import kinds
from stagecraft.schema.inventories import shortened
from stagecraft.schema.options import TEMPLATE, Schema, schema
from stagecraft.schema.reading import values
from stagecraft.stages import ROOT, Refused, Stage, import_collection, names

DRAFT = "http://json-schema.org/draft-07/schema#"
KEYS = "kept_keys"  # the variable that playbooks give to lockbox_keys
PASSING = {"combine", "stagecraft.platform.rotated"}  # filters that give declarations back as declarations
MACHINES = "stagecraft.platform.instances"  # the filter that makes instances of a stage's machines


def everything() -> Schema:
    """The schema of a file of group_vars. Raises Refused where two stages hold different things in one variable."""
    import_collection()
    one = kinds.definitions()
    many = kinds.collections(one)
    known: dict[str, Schema] = {"resources": kinds.resources(many)}
    held: dict[str, str] = {}
    for name in names():
        for variable, what in traced(Stage(name), set(many)):
            if held.setdefault(variable, what) != what:
                raise Refused(
                    f"inventories/{name}: {variable} holds {what} here and {held[variable]} in another stage.", 2
                )
    known |= {"machines": kinds.machines(one["compute_instance"]), "keys": kept()}
    known |= {kind: {"$ref": kinds.MANY + kind} for kind in many}
    return {
        "$schema": DRAFT,
        "title": "Variables of a stage's inventory",
        "type": ["object", "null"],
        "properties": dict(sorted((roles() | own() | {name: known[what] for name, what in held.items()}).items())),
        "definitions": one | {f"many_{kind}": found for kind, found in many.items()},
    }


def group_vars(stage: Stage) -> dict[str, Any]:
    """What a stage declares for all of its hosts, as it is written."""
    found: dict[str, Any] = {}
    for file in sorted((stage.inventory / "group_vars" / "all").glob("*.yml")):
        given = values(file)[1]
        found |= given if isinstance(given, dict) else {}
    return found


def traced(stage: Stage, known: set[str]) -> list[tuple[str, str]]:
    """What `holders` gives of a stage. Raises Refused where a template of it cannot be read."""
    try:
        return list(holders(group_vars(stage), known))
    except jinja2.TemplateSyntaxError as error:
        text = (error.source or "").strip()
        raise Refused(
            f"inventories/{stage.name}: a template cannot be read: {error.message}: {shortened(text)}", 2
        ) from None


def holders(declared: dict[str, Any], known: set[str]) -> Iterator[tuple[str, str]]:
    """(variable, what it holds): a kind, `resources` by kind, `machines` or `keys`."""
    waiting, seen = [RESOURCES], set()
    while waiting:
        variable = waiting.pop()
        if variable in seen or variable not in declared:
            continue
        seen.add(variable)
        given, expression = declared[variable], parsed(declared[variable])
        if variable == RESOURCES or (isinstance(given, dict) and given and given.keys() <= known):
            yield variable, "resources"
        for kind, value in given.items() if isinstance(given, dict) else pairs(expression):
            if kind in known:
                yield from (found for name in sources(parsed(value)) for found in chain(declared, name, kind))
        for tree in [expression, *map(parsed, given.values() if isinstance(given, dict) else ())]:
            yield from ((name, "machines") for name in machines(tree))
        waiting += [one.name for one in expression.find_all(nodes.Name)] if expression else []
    yield from chain(declared, KEYS, "keys")


def chain(declared: dict[str, Any], variable: str, what: str) -> Iterator[tuple[str, str]]:
    """A variable, and those that it is made of."""
    if variable in declared:
        yield variable, what
        for name in sources(parsed(declared[variable])):
            yield from chain(declared, name, what)


def parsed(value: Any) -> nodes.Node | None:
    """The tree of the expression that a value is; None where it is something else."""
    if isinstance(value, nodes.Node):
        return value
    if not isinstance(value, str) or "{{" not in value:
        return None
    tree = jinja2.Environment(autoescape=True).parse(value.strip())
    inner = [one for part in tree.body if isinstance(part, nodes.Output) for one in part.nodes]
    return inner[0] if len(inner) == 1 else None


def pairs(tree: nodes.Node | None) -> Iterator[tuple[str, nodes.Node]]:
    """The keys and values of the mappings that are written in an expression."""
    for pair in tree.find_all(nodes.Pair) if tree else ():
        if isinstance(pair.key, nodes.Const):
            yield str(pair.key.value), pair.value


def sources(tree: nodes.Node | None) -> Iterator[str]:
    """The variables whose declarations an expression gives on as they are."""
    if isinstance(tree, nodes.Name):
        yield tree.name
    elif isinstance(tree, nodes.Filter) and tree.name in PASSING:
        yield from sources(tree.node)
        if tree.name == "combine":
            yield from (name for one in tree.args for name in sources(one))
    elif isinstance(tree, nodes.CondExpr):
        yield from (name for one in (tree.expr1, tree.expr2) for name in sources(one))
    elif isinstance(tree, nodes.Add):
        yield from (name for one in (tree.left, tree.right) for name in sources(one))


def machines(tree: nodes.Node | None) -> Iterator[str]:
    """The variables of which an expression makes instances."""
    if isinstance(tree, nodes.Filter) and tree.name == MACHINES:
        yield from sources(tree.node)


def kept() -> Schema:
    """Keys and certificates by the name of their secret."""
    from ansible_collections.stagecraft.platform.plugins.module_utils import rotation

    certificate = {"properties": {"kind": {"const": "certificate"}}, "required": ["kind"]}
    one: Schema = {
        "type": ["object", "string"],
        "pattern": TEMPLATE,
        "errorMessage": "a mapping with a kind",
        "properties": {
            "kind": schema({"choices": ["certificate", *sorted(rotation.MAKERS)]}),
            "grace": schema({"type": "duration", "description": "How long the old value is good after a rotation."}),
            "names": schema({"type": "list", "elements": "str"}) | {"minItems": 1},
        },
        "required": ["kind"],
        "if": certificate,
        "then": {"required": ["ca", "names"]},
    }
    return {"type": ["object", "string"], "pattern": TEMPLATE, "errorMessage": "keys by name"} | {
        "additionalProperties": one
    }


def roles() -> dict[str, Schema]:
    """The variables of every role, from its argument specs."""
    found: dict[str, Schema] = {}
    for file in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
            found |= {name: schema(option) for name, option in entry.get("options", {}).items()}
    return found


def own() -> dict[str, Schema]:
    """Variables of the command: how a stage is delivered, and which checks ask it."""
    asked = sorted(file.parent.name for file in ROOT.glob("playbooks/verification/*/conftest.py"))
    return {delivery.VARIABLE: delivery.SCHEMA, "stage_kind": schema({"choices": asked})}
