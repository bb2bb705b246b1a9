"""How connections end when the server stops: over TLS a close waits for the client's own goodbye, by default for 30 s, so
one idle client that does not listen would hold up the stop."""

from __future__ import annotations

from typing import Any

import uvloop

GOODBYE_SECONDS = 1.0


class Loop(uvloop.Loop):
    """Waits a second for the other side's end of TLS."""

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """See asyncio; only connections with TLS have such an end."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_shutdown_timeout", GOODBYE_SECONDS)
        return await super().create_server(*arguments, **options)
