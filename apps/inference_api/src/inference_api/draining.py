"""How connections end when the server stops: over TLS a close waits for the client's own goodbye, by default for 30 s, so
one idle client that does not listen would hold up the stop."""

from __future__ import annotations

from typing import Any

import uvloop

GOODBYE_SECONDS = 1.0


class Loop(uvloop.Loop):
    """Waits a second for the other side's end of TLS, and knows whether it still listens."""

    def __init__(self) -> None:
        super().__init__()
        self._listeners: list[Any] = []

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """See asyncio; only connections with TLS have such an end."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_shutdown_timeout", GOODBYE_SECONDS)
        listener = await super().create_server(*arguments, **options)
        self._listeners.append(listener)
        return listener

    def stopping(self) -> bool:
        """Whether it listened and does not any more."""
        return bool(self._listeners) and not any(listener.is_serving() for listener in self._listeners)
