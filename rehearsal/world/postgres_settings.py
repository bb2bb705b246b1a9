"""PostgreSQL's settings: from the cloud's messages, with their units and enumerations, to PostgreSQL's own spelling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from rehearsal.world import WorldError

# Settings of the product's connection pooler, which a rehearsal does not have: the API keeps them, nothing more.
POOLER = {
    "pool_mode",
    "prepared_statements_pooling",
    "catchup_timeout",
    "session_duration_timeout",
}
EXTENSION_PREFIXES = ("auto_explain_", "pg_trgm_")
ALWAYS_LOADED = ("pg_stat_statements", "auto_explain")  # the second does nothing until it is configured
LIBRARIES = ("auto_explain", "pg_prewarm")  # what the image has of what can be asked for
LOADED_TO_ASK = ("pg_trgm",)  # libraries whose settings the API has, and whose load makes them known
IN_KILOBYTES = {"log_temp_files"}  # all other sizes of the API are bytes
SIZES, TIMES = {"B", "kB", "8kB", "MB"}, {"us", "ms", "s", "min"}


@dataclass(frozen=True)
class Parameter:
    """A row of pg_settings. `unit` is what PostgreSQL counts in, empty for plain values."""

    name: str
    unit: str = ""
    choices: tuple[str, ...] = ()


def server(config: Any, known: Mapping[str, Parameter]) -> dict[str, str]:
    """The settings of a `PostgresqlConfigN` message that are set. Raises WorldError for one that the server lacks."""
    wanted = _translate(config, known)
    libraries = list(ALWAYS_LOADED)
    for number in config.shared_preload_libraries:
        enum = config.DESCRIPTOR.fields_by_name["shared_preload_libraries"].enum_type
        name = enum.values_by_number[number].name.removeprefix("SHARED_PRELOAD_LIBRARIES_").lower()
        if name not in LIBRARIES:
            raise WorldError(f"shared_preload_libraries: a rehearsal has {', '.join(LIBRARIES)}, not {name}")
        libraries.append(name)
    return {**wanted, "shared_preload_libraries": ", ".join(dict.fromkeys(libraries))}


def user(settings: Any, known: Mapping[str, Parameter]) -> dict[str, str]:
    """The settings of a `UserSettings` message that are set, for ALTER ROLE."""
    return _translate(settings, known)


def _translate(message: Any, known: Mapping[str, Parameter]) -> dict[str, str]:
    found = {}
    for field, value in message.ListFields():
        if field.name in POOLER or field.name == "shared_preload_libraries":
            continue
        parameter = known.get(_spelled(field.name))
        if parameter is None:
            raise WorldError(f"{field.name}: this PostgreSQL has no such setting; unset it, or do without a rehearsal")
        found[parameter.name] = _value(field, value, parameter)
    return found


def _spelled(field: str) -> str:
    """`auto_explain_log_analyze` is `auto_explain.log_analyze`."""
    for prefix in EXTENSION_PREFIXES:
        if field.startswith(prefix):
            return f"{prefix[:-1]}.{field.removeprefix(prefix)}"
    return field


def _value(field: FieldDescriptor, value: Any, parameter: Parameter) -> str:
    if field.enum_type:
        return _choice(field.enum_type.values_by_number[value].name, parameter)
    if field.message_type:
        value = value.value
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int) and value > 0 and parameter.unit:
        return f"{value}{_unit(field.name, parameter.unit)}"
    return str(value)


def _unit(field: str, unit: str) -> str:
    """What the API counts in: bytes and milliseconds, whatever PostgreSQL counts in."""
    if unit in SIZES:
        return "kB" if field in IN_KILOBYTES else "B"
    return "ms" if unit in TIMES else ""


def _choice(name: str, parameter: Parameter) -> str:
    """`TRANSACTION_ISOLATION_READ_COMMITTED` is `read committed`: the longest choice that ends the name."""
    ending = [choice for choice in parameter.choices if _letters(name).endswith(_letters(choice))]
    if not ending:
        raise WorldError(f"{parameter.name}: {name} is none of {', '.join(parameter.choices)}")
    return max(ending, key=len)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
