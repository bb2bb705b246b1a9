"""The cloud's memory: one SQLite file, mode 0600 because passwords and payloads are in it. It survives kill -9."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (seq INTEGER PRIMARY KEY AUTOINCREMENT, api TEXT NOT NULL, id TEXT NOT NULL,
  folder TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, message BLOB NOT NULL, facts TEXT NOT NULL DEFAULT '{}',
  UNIQUE (api, id));
CREATE INDEX IF NOT EXISTS resource_ids ON resources (id);
CREATE TABLE IF NOT EXISTS operations (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, method TEXT NOT NULL,
  api TEXT NOT NULL, resource TEXT NOT NULL, verb TEXT NOT NULL, before BLOB, answer BLOB, note TEXT NOT NULL DEFAULT '{}',
  message BLOB NOT NULL, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS answers (key TEXT NOT NULL, principal TEXT NOT NULL, method TEXT NOT NULL, digest TEXT NOT NULL,
  operation TEXT, answer BLOB, PRIMARY KEY (key, principal));
CREATE TABLE IF NOT EXISTS bindings (resource TEXT NOT NULL, role TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
  PRIMARY KEY (resource, role, kind, subject));
CREATE TABLE IF NOT EXISTS secrets (api TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (api, id));
CREATE TABLE IF NOT EXISTS tokens (digest TEXT PRIMARY KEY, principal TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass
class Row:
    """A resource as it is kept. `scope` is where its name is unique: the folder, a cluster, a network."""

    seq: int
    api: str
    id: str
    folder: str
    scope: str
    name: str
    message: bytes
    facts: str


class Store:
    """SQLite behind one lock. Every change happens inside `transaction()`, whole or not at all."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self.lock = threading.RLock()
        self.depth = 0
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock; commit at the end of the outermost block, roll everything back on an exception."""
        with self.lock:
            self.depth += 1
            try:
                if self.depth == 1:
                    self.db.execute("BEGIN IMMEDIATE")
                yield
                if self.depth == 1:
                    self.db.execute("COMMIT")
            except BaseException:
                if self.depth == 1:
                    self.db.execute("ROLLBACK")
                raise
            finally:
                self.depth -= 1

    def query(self, sql: str, *values: object) -> list[tuple]:
        with self.lock:
            return self.db.execute(sql, values).fetchall()

    def execute(self, sql: str, *values: object) -> int:
        """Change something; returns how many rows it touched."""
        with self.transaction():
            return self.db.execute(sql, values).rowcount

    # ---- resources ----
    def rows(self, where: str = "1", *values: object) -> list[Row]:
        """Resources in the order of their creation. `where` is one of our own conditions, never a caller's text."""
        columns = "seq, api, id, folder, scope, name, message, facts"
        found = self.query(f"SELECT {columns} FROM resources WHERE {where} ORDER BY seq", *values)  # noqa: S608
        return [Row(*row) for row in found]

    def row(self, api: str, ident: str) -> Row | None:
        return next(iter(self.rows("api = ? AND id = ?", api, ident)), None)

    def put(self, api: str, ident: str, folder: str, scope: str, name: str, message: bytes) -> None:
        """Insert a resource, or replace what is known of it; its facts stay."""
        self.execute(
            "INSERT INTO resources (api, id, folder, scope, name, message) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (api, id) DO UPDATE SET folder = excluded.folder, scope = excluded.scope, "
            "name = excluded.name, message = excluded.message",
            *(api, ident, folder, scope, name, message),
        )

    def drop(self, api: str, ident: str) -> None:
        """Forget a resource with its secrets and the bindings on it."""
        self.execute("DELETE FROM resources WHERE api = ? AND id = ?", api, ident)
        self.execute("DELETE FROM secrets WHERE api = ? AND id = ?", api, ident)
        self.execute("DELETE FROM bindings WHERE resource = ?", ident)

    def close(self) -> None:
        with self.lock:
            self.db.close()

    # ---- small things ----
    def secret(self, api: str, ident: str) -> bytes | None:
        found = self.query("SELECT value FROM secrets WHERE api = ? AND id = ?", api, ident)
        return found[0][0] if found else None

    def put_secret(self, api: str, ident: str, value: bytes) -> None:
        self.execute("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?)", api, ident, value)

    def setting(self, name: str) -> str | None:
        found = self.query("SELECT value FROM settings WHERE name = ?", name)
        return found[0][0] if found else None

    def put_setting(self, name: str, value: str) -> None:
        self.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", name, value)


class Facts(dict):
    """What is known of a resource that the API does not show. Every change is kept at once."""

    def __init__(self, store: Store, api: str, ident: str) -> None:
        row = store.row(api, ident)
        super().__init__(json.loads(row.facts) if row else {})
        self._where = store, api, ident

    def _keep(self) -> None:
        store, api, ident = self._where
        store.execute("UPDATE resources SET facts = ? WHERE api = ? AND id = ?", json.dumps(self), api, ident)

    def __setitem__(self, key: str, value: object) -> None:
        super().__setitem__(key, value)
        self._keep()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._keep()

    def update(self, *others: dict, **values: object) -> None:
        super().update(*others, **values)
        self._keep()
