"""Ids of predictions and of requests."""

from __future__ import annotations

import os
import re
import time

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class _Random:
    """Random bytes, asked of the system for many ids at once: a call for each costs more than all the rest of an id."""

    def __init__(self, size: int, count: int) -> None:
        self._size, self._count = size, count
        self._left: list[bytes] = []

    def take(self) -> bytes:
        if not self._left:
            many = os.urandom(self._size * self._count)
            self._left = [many[at : at + self._size] for at in range(0, len(many), self._size)]
        return self._left.pop()


_random = _Random(size=10, count=256)


def new_id() -> str:
    """A UUID of version 7: the time in milliseconds, then random bits; rows made together stay together on disk."""
    number = (int(time.time() * 1000) << 80) | int.from_bytes(_random.take(), "big")
    number = number & ~(0xF << 76) | (7 << 76)
    number = number & ~(0x3 << 62) | (2 << 62)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def accepted_request_id(header: bytes) -> str:
    """The client's id when it is harmless in logs and headers, else nothing."""
    return header.decode() if _REQUEST_ID.fullmatch(header) else ""
