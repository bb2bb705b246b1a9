"""API keys as a list of hashes, in a setting or a file: for a service without a database.

An entry is `NAME SHA256 [EXPIRES]`; entries stand on lines of their own or between commas; `#` begins a comment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from inference_api.keys import KeyRefusedError, digest_of
from inference_api.settings import PREFIX, ConfigError, Settings, read
from inference_api.stores import NEVER, Client

DIGEST = re.compile(r"[0-9a-f]{64}")


class ListedKeys:
    """See KeySource. A file is read again, so a key changes without a restart."""

    name = "keys"
    errors: tuple[type[Exception], ...] = (ConfigError,)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def clients(self) -> Mapping[bytes, Client]:
        """See KeySource."""
        return listed(self._settings)


def listed(settings: Settings) -> dict[bytes, Client]:
    """The keys that the settings list; ConfigError says which entry is wrong."""
    field, text = "keys", settings.keys
    if settings.keys_file is not None:
        field, text = "keys_file", read(settings.keys_file, "keys_file").decode(errors="replace")
    clients: dict[bytes, Client] = {}
    lines = [line.partition("#")[0] for line in text.splitlines()]
    entries = [entry.split() for line in lines for entry in line.split(",") if entry.strip()]
    for number, entry in enumerate(entries, 1):
        where = f"{PREFIX}{field.upper()}: entry {number}"
        if len(entry) not in (2, 3) or not DIGEST.fullmatch(entry[1]):
            raise ConfigError(f"{where} is not `NAME SHA256 [EXPIRES]`: make one with `inference-api keys hash NAME`")
        digest = bytes.fromhex(entry[1])
        if digest in clients:
            raise ConfigError(f"{where} is the key of {clients[digest].name} too: each name needs one of its own")
        clients[digest] = Client(entry[0], _moment(entry[2], where) if len(entry) == 3 else NEVER)
    if not clients:
        raise ConfigError(f"{PREFIX}{field.upper()} lists no key: make one with `inference-api keys hash NAME`")
    return clients


def entry(name: str, key: bytes, expires: datetime | None) -> str:
    """What to list for a key; KeyRefusedError where that cannot be."""
    if not name or any(letter.isspace() or letter in ",#" for letter in name):
        raise KeyRefusedError("the name must not be empty, nor hold spaces, commas or #")
    if expires is not None and expires.tzinfo is None:
        raise KeyRefusedError(f"{expires.isoformat()} has no zone: end it with Z")
    return " ".join([name, digest_of(key).hex(), *([expires.isoformat()] if expires else [])])


def _moment(text: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text} is not a time as 2027-01-31T00:00:00Z") from error
    if moment.tzinfo is None:
        raise ConfigError(f"{where}: {text} has no zone: end it with Z")
    return moment.timestamp()
