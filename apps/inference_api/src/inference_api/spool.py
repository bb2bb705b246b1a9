"""Records on disk while their store is away: appended with a checksum each, read back in order, bounded in size."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

logger = logging.getLogger("inference_api")

HEADER = struct.Struct("<II")  # length and CRC-32 of what follows
FILE_NAME = "spool-2"  # the number is that of the format


class Spool:
    """One file of byte strings. A torn end, as a crash leaves it, is cut off when the file is opened."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._path, self._limit = folder / FILE_NAME, limit
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        self._read_at = 0
        self.damaged_bytes = 0
        self.size = self._mend()

    def _mend(self) -> int:
        size = os.fstat(self._file).st_size
        good = max((end for _, end in self._records(0)), default=0)
        if good < size:
            self.damaged_bytes = size - good
            logger.error("%s: %d bytes at the end are damaged and were cut off", self._path, self.damaged_bytes)
            os.ftruncate(self._file, good)
        return good

    def _records(self, start: int) -> Iterator[tuple[bytes, int]]:
        """Every whole record from there on, with where it ends."""
        while len(header := os.pread(self._file, HEADER.size, start)) == HEADER.size:
            length, checksum = HEADER.unpack(header)
            record = os.pread(self._file, length, start + HEADER.size)
            if len(record) != length or zlib.crc32(record) != checksum:
                return
            start += HEADER.size + length
            yield record, start

    def append(self, records: Sequence[bytes]) -> int:
        """Keep as many as fit, from the first on, and return how many that were; on disk when this returns."""
        chunks, size = [], self.size
        for record in records:
            if size + HEADER.size + len(record) > self._limit:
                break
            chunks.append(HEADER.pack(len(record), zlib.crc32(record)) + record)
            size += len(chunks[-1])
        try:
            self._write(b"".join(chunks))
        except OSError as error:
            logger.error("%s: cannot be written: %s", self._path, error.strerror)
            os.ftruncate(self._file, self.size)
            return 0
        self.size = size
        return len(chunks)

    def _write(self, data: bytes) -> None:
        at = self.size
        while data:
            written = os.pwrite(self._file, data, at)
            at, data = at + written, data[written:]
        os.fdatasync(self._file)

    def peek(self, count: int) -> tuple[list[bytes], int]:
        """The next records that were not confirmed yet, and the position to confirm them with."""
        records, end = [], self._read_at
        for record, end_of_record in self._records(self._read_at):
            records.append(record)
            end = end_of_record
            if len(records) == count:
                break
        return records, end

    def confirm(self, end: int) -> None:
        """Forget everything up to there; the file shrinks when all of it was confirmed."""
        self._read_at = end
        if end >= self.size:
            os.ftruncate(self._file, 0)
            self._read_at = self.size = 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
