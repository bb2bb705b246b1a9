"""API keys: who may ask for predictions.

PostgreSQL holds the SHA-256 of each key. A slow password hash would protect guessable secrets; these are random and at
least 32 characters long, so nobody can go through them, and a quick hash costs a request a microsecond, not 100 ms.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from inference_api import database, problems
from inference_api.database import Database
from inference_api.refreshed import Refreshed
from inference_api.settings import Settings

logger = logging.getLogger("inference_api")

SHORTEST = 32
LOOK_AGAIN_SECONDS = 1.0
NEVER = float("inf")
PREVIOUS = " (previous)"

SELECT = """
SELECT digest, name, extract(epoch FROM expires_at)::float8 FROM inference_api.api_keys
WHERE NOT disabled AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at, name LIMIT %s
"""


class Client(NamedTuple):
    """Whose key it is, and until when (seconds since the epoch)."""

    name: str
    expires: float


class KeyRefusedError(ValueError):
    """A key or name that cannot be set."""


def digest_of(key: bytes) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(key).digest()


class Keys:
    """All valid keys, read again in the background: a wrong key never costs a query, a known one works without any."""

    def __init__(self, settings: Settings, source: Database) -> None:
        self._limit, self._source = settings.keys_limit, source
        empty: dict[bytes, Client] = {}
        self.table = Refreshed("API keys", self._load, empty, settings.keys_refresh_seconds, database.ERRORS)

    async def _load(self) -> dict[bytes, Client]:
        rows = await self._source.execute(SELECT, (self._limit + 1,))
        if len(rows) > self._limit:
            logger.error("API keys: more than %d exist, the newest are not accepted: raise keys_limit", self._limit)
        return {
            bytes(digest): Client(name, NEVER if expires is None else expires)
            for digest, name, expires in rows[: self._limit]
        }

    def known(self, key: bytes) -> Client | None:
        """The key's client, from memory."""
        client = self.table.value.get(digest_of(key))
        return client if client is not None and client.expires > time.time() else None

    async def client(self, key: bytes | None) -> Client:
        """The key's client; a key made a moment ago is looked for, at most once a second. Problem 401 or 503."""
        if key is None:
            raise problems.unauthorized()
        client = self.known(key)
        if client is None and len(key) >= SHORTEST:
            await self.table.refresh(older_than=LOOK_AGAIN_SECONDS)
            client = self.known(key)
        if client is None:
            if not self.table.loaded:
                raise problems.waiting("The API keys could not be read yet.", "postgresql")
            raise problems.unauthorized()
        return client


def set_key(
    settings: Settings,
    name: str,
    key: bytes,
    expires: datetime | None = None,
    *,
    previous: tuple[bytes, datetime] | None = None,
    check: bool = False,
) -> bool:
    """Store the key under the name, replacing its old one; False when it was stored like that already.

    `previous` is a key that goes on working until a time, in the same transaction, so that no moment knows neither; records
    name its client `<name> (previous)`. With `check` everything is tried and taken back.
    """
    stored = [(name, key, expires)] + ([(name + PREVIOUS, *previous)] if previous else [])
    for _, one, _ in stored:
        if len(one) < SHORTEST or any(byte <= 32 or byte > 126 for byte in one):
            raise KeyRefusedError(
                f"the key must have at least {SHORTEST} printable characters and no spaces: "
                "make one with `openssl rand -hex 32`"
            )
    statement = """
        INSERT INTO inference_api.api_keys AS old (name, digest, expires_at) VALUES (%s, %s, %s)
        ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at, disabled = false
        WHERE (old.digest, old.disabled) IS DISTINCT FROM (excluded.digest, false)
           OR old.expires_at IS DISTINCT FROM excluded.expires_at
    """
    with database.connect(settings) as connection:
        try:
            with connection.transaction(force_rollback=check):
                counts = [connection.execute(statement, (n, digest_of(k), until)).rowcount for n, k, until in stored]
                return any(counts)
        except psycopg.errors.UniqueViolation as error:
            raise KeyRefusedError("that key belongs to another name already") from error
        except psycopg.errors.CheckViolation as error:
            raise KeyRefusedError("the name must not be empty") from error


def revoke(settings: Settings, name: str) -> bool:
    """Disable the name's key; False when it was disabled or never there."""
    statement = "UPDATE inference_api.api_keys SET disabled = true WHERE name = %s AND NOT disabled"
    with database.connect(settings) as connection:
        return connection.execute(statement, (name,)).rowcount == 1


def listed(settings: Settings) -> Sequence[dict[str, Any]]:
    """Every key's name, times and state; nothing from which a key could be told."""
    statement = "SELECT name, created_at, expires_at, disabled FROM inference_api.api_keys ORDER BY name"
    with database.connect(settings) as connection:
        return [
            {"name": name, "created": created, "expires": expires, "disabled": disabled}
            for name, created, expires, disabled in connection.execute(statement)
        ]
