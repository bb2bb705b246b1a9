"""How connections end when the server stops. uvicorn alone closes idle ones over TLS and waits up to 30 s for the
client's goodbye, and answers whatever comes on them until then, so a busy client would hold up the stop."""

from __future__ import annotations

from typing import Any

import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GOODBYE_SECONDS = 1.0


class Loop(uvloop.Loop):
    """Waits a second for the other side's end of TLS."""

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """See asyncio; only connections with TLS have such an end."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_shutdown_timeout", GOODBYE_SECONDS)
        return await super().create_server(*arguments, **options)


class DrainingProtocol(HttpToolsProtocol):
    """Once the server stops, every answer is the last one on its connection and says so."""

    draining = False

    def shutdown(self) -> None:
        """The server stops: close now when idle, else after the answer under way."""
        self.draining = True
        super().shutdown()

    def on_headers_complete(self) -> None:
        """A request's head is complete."""
        super().on_headers_complete()
        if self.draining and self.cycle is not None:
            self.cycle.keep_alive = False
