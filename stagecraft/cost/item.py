"""One declared resource as its price sees it: numbers and sizes of its declaration, and what is assumed of its use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from stagecraft.stages import Refused

HOURS = Decimal(730)  # of a month
GB = Decimal(1 << 30)
UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
NUMBER = re.compile(r"\d+(\.\d+)?")
# As the engine reads them, by Ansible, which takes long to import; a test compares.
TRUE = {"y", "yes", "on", "1", "true", "t"}
FALSE = {"n", "no", "off", "0", "false", "f"}


@dataclass(frozen=True)
class Item:
    """One declared resource, and what the inventory assumes of its use."""

    stage: str
    kind: str
    name: str
    declared: dict[str, Any]
    usage: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.stage}: {self.kind} {self.name}"

    def number(self, name: str, default: int | None = None) -> Decimal:
        """A declared number. Raises Refused where there is none and no default."""
        return self._decimal(name, self._given(name, default))

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._given(name, default))

    def flag(self, name: str) -> bool:
        """Whether something is declared to be so, by default not."""
        return self.true(self.declared, name)

    def parts(self, name: str) -> list[dict[str, Any]]:
        """A declared list of dictionaries, by default an empty one. Raises Refused for anything else."""
        value = self.declared.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
            raise Refused(f"{self}: {name} is {value!r}; it has to be a list of dictionaries.", 2)
        return value or []

    def true(self, fields: Mapping[str, Any], name: str) -> bool:
        """A field as yes or no, as Ansible reads it. Raises Refused for what is neither."""
        value = fields.get(name)
        text = "false" if value is None else str(value).strip().lower()
        if text not in TRUE | FALSE:
            raise Refused(f"{self}: {name} is {value!r}; it has to be true or false.", 2)
        return text in TRUE

    def size(self, name: str) -> Decimal:
        """A declared size in GB (2^30 bytes)."""
        return self._size(name, self._given(name, None))

    def assumed(self, name: str, default: int | None = None) -> Decimal:
        """How much is used in a month. Raises Refused where the inventory does not say, and there is no default."""
        return self._decimal(name, self._use(name, default))

    def assumed_size(self, name: str, default: int | None = None) -> Decimal:
        """The same in GB, such as `stored: 20GB`."""
        return self._size(name, self._use(name, default))

    def hours(self) -> Decimal:
        """How long it runs in a month: not at all where it is declared to be stopped and nobody says otherwise."""
        hours = self.assumed("hours", 0 if self.declared.get("power") == "stopped" else int(HOURS))
        if hours > HOURS:
            raise Refused(f"{self}: usage.hours is {hours}; a month has {HOURS}.", 2)
        return hours

    def _given(self, name: str, default: Any) -> Any:
        value = self.declared.get(name)
        if value is None and default is None:
            raise Refused(f"{self}: {name} is not declared, so it has no price.", 2)
        return default if value is None else value

    def _use(self, name: str, default: Any) -> Any:
        value = self.usage.get(name)
        if value is None and default is None:
            raise Refused(
                f"{self}: its price depends on {name}, and the inventory does not say how much is used in a month."
                f" Write it in `usage`, under {self.kind} and {self.name}.",
                2,
            )
        return default if value is None else value

    def _decimal(self, name: str, value: Any) -> Decimal:
        text = str(value)
        if isinstance(value, bool) or not NUMBER.fullmatch(text):
            raise Refused(f"{self}: {name} is {value!r}; it has to be a number that is not negative.", 2)
        return Decimal(text)

    def _size(self, name: str, value: Any) -> Decimal:
        found = SIZE.fullmatch(str(value).strip())
        if not found:
            raise Refused(f"{self}: {name} is {value!r}; write a size such as 20GB.", 2)
        return Decimal(found[1]) * (1 << 10 * UNITS[found[2].upper()]) / GB
