"""Where predictions are kept, and where API keys come from: PostgreSQL has both; with objects the keys are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from inference_api.settings import Settings

NEVER = float("inf")


class Prediction(msgspec.Struct, array_like=True, frozen=True):
    """One answered request; `at` in seconds since the epoch, `output` as JSON text."""

    id: str
    request_id: str
    at: float
    client: str
    model: str
    version: str
    latency_ms: float
    rows: int
    digest: bytes
    output: str | None


class Client(NamedTuple):
    """Whose key it is, and until when (seconds since the epoch)."""

    name: str
    expires: float


class RefusedError(Exception):
    """The store is there and will never take these predictions."""


class ClockError(Exception):
    """What this machine signs is refused, because its clock is off."""


class Store(Protocol):
    """Takes predictions, a batch as a whole."""

    @property
    def name(self) -> str:
        """As readiness and the log name it."""

    @property
    def available(self) -> bool:
        """Whether it answered the last time."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What `write` raises while it is away."""

    async def write(self, batch: Sequence[Prediction]) -> None:
        """Keep them all; the same batch again changes nothing. Raises one of `errors`, or RefusedError."""

    async def close(self) -> None:
        """Let go of connections."""


class KeySource(Protocol):
    """Knows who may ask."""

    @property
    def name(self) -> str:
        """As readiness names it."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What `clients` raises while they cannot be read."""

    async def clients(self) -> Mapping[bytes, Client]:
        """Every valid key's client by the key's digest."""


def make_store(settings: Settings) -> tuple[Store, KeySource]:
    """The store that the settings name, and the keys' source; other libraries than theirs are not even loaded."""
    if settings.store == "postgresql":
        from inference_api.database import Database
        from inference_api.database_keys import DatabaseKeys
        from inference_api.postgresql_store import PostgresqlStore

        connection = Database(settings)
        return PostgresqlStore(connection), DatabaseKeys(settings, connection)
    from inference_api.listed_keys import ListedKeys
    from inference_api.parquet_store import ParquetStore

    return ParquetStore(settings), ListedKeys(settings)
