"""API keys in PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from inference_api import database
from inference_api.database import Database
from inference_api.keys import KeyRefusedError, digest_of
from inference_api.settings import Settings
from inference_api.stores import NEVER, Client

logger = logging.getLogger("inference_api")

PREVIOUS = " (previous)"
SELECT = """
SELECT digest, name, extract(epoch FROM expires_at)::float8 FROM inference_api.api_keys
WHERE NOT disabled AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at, name LIMIT %s
"""


class DatabaseKeys:
    """See KeySource."""

    name = "postgresql"
    errors = database.ERRORS

    def __init__(self, settings: Settings, connection: Database) -> None:
        self._limit, self._connection = settings.keys_limit, connection

    async def clients(self) -> Mapping[bytes, Client]:
        """See KeySource."""
        rows = await self._connection.execute(SELECT, (self._limit + 1,))
        if len(rows) > self._limit:
            logger.error("API keys: more than %d exist, the newest are not accepted: raise keys_limit", self._limit)
        return {
            bytes(digest): Client(name, NEVER if expires is None else expires)
            for digest, name, expires in rows[: self._limit]
        }


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
    digests = [(owner, digest_of(one), until) for owner, one, until in stored]
    statement = """
        INSERT INTO inference_api.api_keys AS old (name, digest, expires_at) VALUES (%s, %s, %s)
        ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at, disabled = false
        WHERE (old.digest, old.disabled) IS DISTINCT FROM (excluded.digest, false)
           OR old.expires_at IS DISTINCT FROM excluded.expires_at
    """
    with database.connect(settings) as connection:
        try:
            with connection.transaction(force_rollback=check):
                counts = [connection.execute(statement, row).rowcount for row in digests]
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
