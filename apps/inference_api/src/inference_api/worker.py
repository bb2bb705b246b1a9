"""What a worker of uvicorn makes: the quick door, and the routed application when somebody asks for it.

FastAPI is two fifths of a start, and no prediction needs it.
"""

from __future__ import annotations

import asyncio
import gc

from inference_api.front import App, Front, Receive, Scope, Send
from inference_api.service import Service
from inference_api.settings import load

GARBAGE = 20_000  # new objects before a collection; Python's own 700 are those of some twenty requests


class Routed:
    """The routed application, made in a thread for the first request that is not a prediction; later ones wait for it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._making: asyncio.Task[App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make))
        app = await asyncio.shield(self._making)  # who hangs up meanwhile ends only its own request
        await app(scope, receive, send)

    def _make(self) -> App:
        from inference_api.app import create_app

        return create_app(self._service)


def create_server_app() -> Front:
    """The worker's application, with settings from the environment."""
    service = Service(load())
    gc.freeze()  # what is there now stays: no collection goes through it while requests wait
    gc.set_threshold(GARBAGE)
    gc.enable()
    return Front(Routed(service), service)
