"""Options as JSON Schema: from an argument spec, and from what the engine knows of a field beside it.

A template may stand wherever a value is, so each schema takes a text with `{{` or `{%` in it. `errorMessage` says in words
what is allowed; editors show it too. A mapping with known options has none: editors would show it for an unknown option.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

Schema = dict[str, Any]
TEMPLATE = r"\{[{%]"  # in a text: Ansible makes the value of it
OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
IPV6 = r"(?=[0-9A-Fa-f:.]*:)[0-9A-Fa-f:.]+/(12[0-8]|1[01]\d|\d?\d)"
# The engine's forms (values.FORMS): what they look like, as far as a pattern can say it, and in words.
FORMS = {
    "network": (rf"({OCTET}(\.{OCTET}){{3}}/(3[0-2]|[12]?\d)|{IPV6})", "a network such as 10.10.1.0/24"),
    "port": (r"(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])", "a port, from 0 to 65535"),
    "certificate": (r"[\s\S]*BEGIN CERTIFICATE[\s\S]*", "a certificate in PEM"),
}
TRUTHS = "y|yes|on|1|true|t|1.0|True|n|no|off|0|false|f|0.0|False"
# type -> JSON's types beside text, what a text has to look like, and what is allowed in words
TYPES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "str": (("number", "boolean"), "", "a text"),
    "path": ((), "", "a path"),
    "int": (("integer",), r"[+-]?\d+", "a whole number"),
    "float": (("number",), r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", "a number"),
    "bool": (("boolean", "integer"), TRUTHS.replace(".", r"\."), "true or false"),
    "bytes": (("integer",), r"\d*\.?\d+\s*([KMGTPEZYkmgtpezy]|[KMGTPEZY]B|[Bb]|[Bb]ytes?)?\s*", "a size such as 20GB"),
    "duration": (("integer",), r"\s*\d+[smhd]?\s*", "a duration such as 30s, 5m, 2h or 1d"),
}
ALIASES = {"boolean": "bool", "integer": "int", "string": "str", "dictionary": "dict"}  # in documentation


def schema(spec: Schema, bound: Any = None, documented: Schema | None = None, null: bool = True) -> Schema:
    """The schema of one option. `bound` is the engine's field, `documented` its entry in a module's documentation.

    Unset is allowed (as `null`) unless `null` is false.
    """
    said = documented if documented is not None else spec
    about = {"description": words} if (words := plain(said.get("description"))) else {}
    if spec.get("type") == "list":
        found = many({**spec, "type": spec.get("elements", "raw")}, bound.one() if bound else None, said)
    else:
        found = single(spec, bound, said)
    if not null and isinstance(found.get("type"), list):
        found["type"].remove("null")
    return about | found


def plain(description: Any) -> str:
    """A description without Ansible's markup."""
    text = " ".join(description) if isinstance(description, list) else description or ""
    return re.sub(r"\b[A-Z]\(([^()]*)\)", r"\1", text)


def single(spec: Schema, bound: Any, said: Schema) -> Schema:
    if "choices" in spec:
        return choice(spec["choices"], bound)
    options = spec.get("options", spec.get("suboptions"))
    if options is not None:
        children = bound.children if bound else {}
        return mapping(options, children, said.get("suboptions") or said.get("options") or {}, spec)
    kind = str(spec.get("type", "str"))
    kind = ALIASES.get(kind, kind)
    if kind == "raw":
        return {"type": ["object", "string", "null"]} if bound else {}
    if kind == "dict":
        flat = {"additionalProperties": {"not": {"type": ["object", "array"]}}} if bound and bound.kind == "map" else {}
        return {"type": ["object", "string", "null"], "pattern": TEMPLATE, "errorMessage": "a mapping"} | flat
    if bound and bound.field.form:
        return formed(bound.field.form)
    return text("duration" if bound and bound.field.unit == "duration" else kind)


def text(kind: str) -> Schema:
    """A value that a person may also write as text."""
    others, pattern, means = TYPES[kind]
    found: Schema = {"type": [*others, "string", "null"], "errorMessage": means}
    if kind == "bool":
        found |= {"minimum": 0, "maximum": 1}
    return found | ({"pattern": f"^({pattern})$|{TEMPLATE}"} if pattern else {})


def formed(form: str) -> Schema:
    """A text that has to look like something."""
    pattern, means = FORMS[form]
    found: Schema = {"type": ["string", "null"], "pattern": f"^{pattern}$|{TEMPLATE}", "errorMessage": means}
    if form == "port":
        found |= {"type": ["integer", "string", "null"], "minimum": 0, "maximum": 65535}
    return found


def choice(choices: list[Any], bound: Any) -> Schema:
    """One of these; the engine also takes the API's own spelling, and what YAML makes of on and off."""
    known = list(choices) + [truth for word, truth in (("on", True), ("off", False)) if bound and word in choices]
    spellings = sorted({n for k, api in bound.choices.items() for n in (k.upper(), api)}) if bound else []
    accepted = "|".join([*(f"^{re.escape(word)}$" for word in spellings), TEMPLATE])
    other = [{"type": "string", "pattern": accepted}, {"type": "null"}]
    return {"anyOf": [{"enum": known}, *other], "errorMessage": f"one of {', '.join(map(str, choices))}"}


def many(spec: Schema, bound: Any, said: Schema) -> Schema:
    """A list. Of plain values it may be one text, with commas between them."""
    one = single(spec, bound, said)
    found: Schema = {"type": ["array", "string", "null"], "items": one, "errorMessage": "a list"}
    if "description" in said:
        one.pop("description", None)
    nested = "properties" in one or "object" in one.get("type", [])
    if nested or "anyOf" in one:
        return found | {"pattern": TEMPLATE}
    if spec.get("type") != "raw" and (pattern := one.get("pattern")):
        inner = pattern.removesuffix(f"|{TEMPLATE}").removeprefix("^").removesuffix("$")
        found |= {"pattern": f"^{inner}(\\s*,\\s*{inner})*$|{TEMPLATE}"}
    means = one.get("errorMessage")
    return found | ({"errorMessage": f"a list, each {means}"} if means else {})


def mapping(options: Schema, bound: dict[str, Any], said: Schema, spec: Schema) -> Schema:
    """A mapping whose keys are known."""
    required = [name for name, one in options.items() if one.get("required")]
    found: Schema = {
        "type": ["object", "string", "null"],
        "pattern": TEMPLATE,
        "properties": {
            name: schema(one, bound.get(name), said.get(name, {}), null=name not in required)
            for name, one in options.items()
        },
        "additionalProperties": False,
    }
    if required:
        found["required"] = required
    return found | exclusions(spec.get("mutually_exclusive", []))


def exclusions(groups: list[list[str]]) -> Schema:
    """Of each group only one may be there."""
    pairs = [pair for group in groups for pair in itertools.combinations(group, 2)]
    rules = [{"not": {"required": [a, b]}, "errorMessage": f"{a} or {b}, not both"} for a, b in pairs]
    return {"allOf": rules} if rules else {}
