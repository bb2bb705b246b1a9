"""What drift leaves out because a person has said so: the same patterns for the cloud and for machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase

MACHINE_KINDS = ("file", "group", "package", "port", "unit", "user")
PARTS = (2, 3)  # words of a pattern


def drift_ignored(patterns: Iterable[str], kinds: Collection[str]) -> Callable[[Mapping[str, str]], bool]:
    """A function of a row of drift (its `kind`, `name` and `field`): whether it is to be left out.

    A pattern is `<kind> <name>` or `<kind> <name> <field>`; in name and field, `*`, `?` and `[...]` stand for others.
    Raises ValueError, with one message for all patterns that are wrong.
    """
    rules = [pattern.split() for pattern in patterns]
    if wrong := [" ".join(rule) for rule in rules if len(rule) not in PARTS or rule[0] not in kinds]:
        raise ValueError(
            f"{', '.join(map(repr, wrong))}: a pattern is '<kind> <name>' or '<kind> <name> <field>', such as"
            f" 'package tcpdump' or 'file /etc/nginx/* mode'; the kinds are {', '.join(sorted(kinds))}"
        )

    def ignored(row: Mapping[str, str]) -> bool:
        return any(
            kind == row["kind"]
            and fnmatchcase(row["name"], name)
            and all(fnmatchcase(row["field"], one) for one in field)
            for kind, name, *field in rules
        )

    return ignored
