"""API keys: who may ask for predictions.

Kept is the SHA-256 of each key. A slow password hash would protect guessable secrets; these are random and at least 32
characters long, so nobody can go through them, and a quick hash costs a request a microsecond, not 100 ms.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping

from inference_api import problems
from inference_api.refreshed import Refreshed
from inference_api.settings import Settings
from inference_api.stores import Client, KeySource

SHORTEST = 32
LOOK_AGAIN_SECONDS = 1.0


class KeyRefusedError(ValueError):
    """A key or name that cannot be set."""


def digest_of(key: bytes) -> bytes:
    """What is stored of a key; KeyRefusedError for one that could be guessed or cannot be sent."""
    if len(key) < SHORTEST or any(byte <= 32 or byte > 126 for byte in key):
        raise KeyRefusedError(
            f"the key must have at least {SHORTEST} printable characters and no spaces: "
            "make one with `openssl rand -hex 32`"
        )
    return hashlib.sha256(key).digest()


class Keys:
    """All valid keys, read again in the background: a wrong key never costs a query, a known one works without any."""

    def __init__(self, settings: Settings, source: KeySource) -> None:
        self.source = source
        empty: Mapping[bytes, Client] = {}
        seconds = settings.keys_refresh_seconds
        self.table = Refreshed("API keys", source.clients, empty, seconds, source.errors, without="nobody is let in")

    def known(self, key: bytes) -> Client | None:
        """The key's client, from memory."""
        client = self.table.value.get(hashlib.sha256(key).digest())
        return client if client is not None and client.expires > time.time() else None

    async def client(self, key: bytes | None) -> Client:
        """The key's client; a key made a moment ago is looked for, at most once a second. Problem 401 or 503."""
        if key is None:
            raise problems.unauthorized()
        client = self.known(key)
        if client is None and len(key) >= SHORTEST:
            await self.table.refresh(older_than=LOOK_AGAIN_SECONDS)
            client = self.known(key)
        if client is None:
            if not self.table.loaded:
                raise problems.waiting("The API keys could not be read yet.", self.source.name)
            raise problems.unauthorized()
        return client
