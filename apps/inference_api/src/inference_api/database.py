"""PostgreSQL: one connection a worker, made again when it breaks, never waited for longer than the time-out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib import resources
from typing import Any

import psycopg

from inference_api.settings import ConfigError, Settings

APPLICATION = "inference-api"
MIGRATION_LOCK = 7_351_204_991  # any number will do, as long as all versions of this program use the same
ERRORS: tuple[type[Exception], ...] = (psycopg.Error, OSError, TimeoutError, ConfigError)

Row = tuple[Any, ...]


def connection_settings(settings: Settings) -> dict[str, Any]:
    """How to connect: always TLS, and the server's name must be the one on its certificate."""
    return {
        "host": settings.database_host,
        "port": settings.database_port,
        "dbname": settings.database_name,
        "user": settings.database_user,
        "password": settings.database_password(),
        "sslmode": "verify-full",
        "sslrootcert": str(settings.database_ca_file),
        "connect_timeout": max(2, round(settings.database_timeout_seconds)),
        "application_name": APPLICATION,
        "keepalives_idle": 10,
        "autocommit": True,
        "prepare_threshold": None,  # a pooler in front hands every transaction to another server connection
    }


class Database:
    """Statements one after the other. `available` says whether the last one was answered."""

    def __init__(self, settings: Settings) -> None:
        self.available = False
        self._settings = settings
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._lock = asyncio.Lock()

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement as a transaction of its own and return its rows; raises one of ERRORS."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._settings.database_timeout_seconds):
                    if self._connection is None or self._connection.closed:
                        self._connection = await psycopg.AsyncConnection.connect(**connection_settings(self._settings))
                    cursor = await self._connection.execute(statement, parameters)
                    rows = await cursor.fetchall() if cursor.description else []
            except psycopg.DataError:
                self.available = True
                raise
            except BaseException:
                self.available = False
                await self._drop()
                raise
            self.available = True
            return rows

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def close(self) -> None:
        """End the connection."""
        async with self._lock:
            await self._drop()


def connect(settings: Settings) -> psycopg.Connection[Row]:
    """A connection for the command line."""
    return psycopg.connect(**connection_settings(settings))


def migrate(settings: Settings, *, check: bool = False) -> list[str]:
    """Bring the schema up to date and return the names of what was applied; two at a time wait for each other.

    With `check` everything is tried and taken back.
    """
    folder = resources.files("inference_api") / "migrations"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    applied = []
    with connect(settings) as connection, connection.transaction(force_rollback=check):
        # a transaction's lock, because a session's would stay behind in the pooler
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        if not _has_schema(connection):
            connection.execute("CREATE SCHEMA inference_api")
            connection.execute(
                "CREATE TABLE inference_api.migrations (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            )
        done = {name for (name,) in connection.execute("SELECT name FROM inference_api.migrations")}
        for file in files:
            if file.name not in done:
                connection.execute(file.read_text())
                connection.execute("INSERT INTO inference_api.migrations (name) VALUES (%s)", (file.name,))
                applied.append(file.name)
    return applied


def _has_schema(connection: psycopg.Connection[Row]) -> bool:
    row = connection.execute("SELECT to_regclass('inference_api.migrations') IS NOT NULL").fetchone()
    return bool(row and row[0])
