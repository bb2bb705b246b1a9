"""Predictions in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

from inference_api import database
from inference_api.database import Database
from inference_api.refreshed import one_line
from inference_api.stores import Prediction, RefusedError

# the id makes writing again harmless: what a crash or a lost answer left in doubt is sent a second time
INSERT = """
INSERT INTO inference_api.predictions
    (id, request_id, at, client, model, version, latency_ms, rows, input_sha256, output)
SELECT id, request_id, to_timestamp(at), client, model, version, latency_ms, rows, decode(digest, 'base64'), output::jsonb
FROM json_to_recordset(%s::json)
    AS record (id uuid, request_id text, at float8, client text, model text, version text, latency_ms float8, rows int,
               digest text, output text)
ON CONFLICT (id) DO NOTHING
"""


class PostgresqlStore:
    """See Store."""

    name = "postgresql"
    errors = database.ERRORS

    def __init__(self, connection: Database) -> None:
        self._connection = connection

    @property
    def available(self) -> bool:
        """See Store."""
        return self._connection.available

    async def write(self, batch: Sequence[Prediction]) -> None:
        """See Store."""
        # one JSON text: a parameter for each column costs the driver five times as much
        try:
            document = msgspec.json.encode([msgspec.structs.asdict(prediction) for prediction in batch]).decode()
            await self._connection.execute(INSERT, (document,))
        except (ValueError, psycopg.DataError) as error:
            raise RefusedError(one_line(error)) from error

    async def close(self) -> None:
        """See Store."""
        await self._connection.close()
