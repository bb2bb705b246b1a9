"""The front's side door: a Unix socket, mode 0600, with one JSON object a line, as the emulator's own has.

{"call": "prepare", "revision": {…}}   have an instance of it ready; answers when it accepts connections
{"call": "idle", "seconds": 5}         how long an instance may have nothing to do; kept
{"call": "status"}                     instances by revision, and how long they may be idle"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from rehearsal import files
from rehearsal.cloud import admin
from rehearsal.places import Place
from rehearsal.serverless import served
from rehearsal.world import WorldError

IDLE_SECONDS = 600.0
Order = Callable[[str, dict[str, Any]], Awaitable[object]]


class Settings:
    """What was set by an order, and outlives the front."""

    def __init__(self, place: Place) -> None:
        self._place, self._file = place, served.folder(place) / "settings.json"

    @property
    def idle(self) -> float:
        """Seconds after which an instance without requests goes."""
        return float(self._read().get("idle", IDLE_SECONDS))

    @idle.setter
    def idle(self, seconds: float) -> None:
        files.write(self._file, json.dumps({"idle": seconds}))

    def _read(self) -> dict[str, Any]:
        try:
            return files.read_json(self._file, self._place.name)
        except FileNotFoundError:
            return {}


async def serve(place: Place, order: Order) -> asyncio.Server:
    """Obey orders until it is closed."""

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await _answer(line, order)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # whoever asked has gone
        finally:
            writer.close()

    folder = files.private_folder(served.folder(place))
    (folder / admin.NAME).unlink(missing_ok=True)
    with admin.short(folder) as path:
        server = await asyncio.start_unix_server(visit, path, limit=1 << 20)
    (folder / admin.NAME).chmod(0o600)
    return server


async def _answer(line: bytes, order: Order) -> dict[str, Any]:
    try:
        given = json.loads(line)
        return {"ok": await order(given.pop("call"), given)}
    except (ValueError, TypeError, KeyError, WorldError) as error:
        return {"error": str(error) if isinstance(error, WorldError) else f"{type(error).__name__}: {error}"}


def ask(place: Place, call: str, *, patience: float = 30, **order: object) -> Any:
    """Give the front of a rehearsal an order. Raises WorldError with its refusal."""
    try:
        return admin.ask(
            served.folder(place), call, patience=patience, what="the front of serverless containers", **order
        )
    except admin.AdminError as error:
        raise WorldError(str(error)) from None
