"""Counters that every worker can read: plain numbers in a file each worker maps, summed when somebody asks.

Adding to one is adding to a float in memory, about a tenth of what a general client library costs on the hot path.
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections import defaultdict
from pathlib import Path

from inference_api import slots

ROWS = 4096
KEY_BYTES = 248
FILE_BYTES = ROWS * (8 + KEY_BYTES)
FILE_NAME = "metrics-1"
LABEL_BYTES = 100
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SUM = "sum"

FAMILIES = {
    "inference_api_requests_total": ("counter", "Prediction requests by model and HTTP status."),
    "inference_api_request_seconds": ("histogram", "Time from a request's arrival to its answer."),
    "inference_api_in_flight": ("gauge", "Prediction requests under way."),
    "inference_api_queue": ("gauge", "Requests that wait for a call to the engine."),
    "inference_api_engine_calls_total": ("counter", "Calls to the engine: Triton, or ONNX Runtime in the process."),
    "inference_api_engine_merged_total": ("counter", "Requests sent in those calls; more than calls when merged."),
    "inference_api_engine_up": ("gauge", "Workers whose engine answers."),
    "inference_api_models_up": ("gauge", "Workers whose last look for models was answered."),
    "inference_api_versions_served": ("gauge", "Workers that have loaded this version of a model."),
    "inference_api_versions_refused": ("gauge", "Workers that cannot serve this published version of a model."),
    "inference_api_store_up": ("gauge", "Workers whose store of predictions took the last ones."),
    "inference_api_clock_refused": ("gauge", "Workers whose signed requests are refused because their clock is off."),
    "inference_api_records_written_total": ("counter", "Predictions written to the store."),
    "inference_api_records_spooled_total": ("counter", "Predictions put into the spool while the store was away."),
    "inference_api_records_lost_total": ("counter", "Predictions not kept, by reason."),
    "inference_api_records_waiting": ("gauge", "Predictions in memory on their way to the store."),
    "inference_api_spool_bytes": ("gauge", "Size of the spool."),
    "inference_api_metrics_full_total": ("counter", "Additions to metrics that had no room of their own."),
}


class Cell:
    """One number."""

    __slots__ = ("_at", "_values")

    def __init__(self, values: memoryview[float], at: int) -> None:
        self._values, self._at = values, at

    def add(self, amount: float = 1.0) -> None:
        """Count."""
        self._values[self._at] += amount

    def set(self, value: float) -> None:
        """Say how much it is now."""
        self._values[self._at] = value


class Histogram:
    """Observations by size."""

    __slots__ = ("_buckets", "_sum")

    def __init__(self, buckets: list[Cell], total: Cell) -> None:
        self._buckets, self._sum = buckets, total

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._buckets[bisect_left(BOUNDS, value)].add()
        self._sum.add(value)


class Metrics:
    """This worker's numbers. A new owner of a folder goes on counting where the last one ended."""

    def __init__(self, folder: Path) -> None:
        descriptor = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, FILE_BYTES)
            self._map = mmap.mmap(descriptor, FILE_BYTES)
        finally:
            os.close(descriptor)
        self._values = memoryview(self._map)[: ROWS * 8].cast("d")
        self._rows = {key: at for at, key in enumerate(_keys(self._map))}
        for key, at in self._rows.items():
            if FAMILIES.get(_family(key), ("",))[0] == "gauge":
                self._values[at] = 0.0
        self._full = self.cell("inference_api_metrics_full_total")

    def cell(self, family: str, **labels: str) -> Cell:
        """The number of that name and labels, made when it is new."""
        return self._cell(_key(family, labels))

    def histogram(self, family: str, **labels: str) -> Histogram:
        """The histogram of that name and labels."""
        bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        return Histogram(
            [self._cell(_key(family, {**labels, "le": bound})) for bound in bounds],
            self._cell(_key(family, {**labels, "le": SUM})),
        )

    def _cell(self, key: bytes) -> Cell:
        at = self._rows.get(key)
        if at is None:
            at = len(self._rows)
            if at >= ROWS or len(key) > KEY_BYTES:
                return self._full
            start = ROWS * 8 + at * KEY_BYTES
            self._values[at] = 0.0
            self._map[start : start + len(key)] = key
            self._rows[key] = at
        return Cell(self._values, at)


def _key(family: str, labels: dict[str, str]) -> bytes:
    parts = [family, *(f"{name}={value[:LABEL_BYTES]}" for name, value in labels.items())]
    return "\x1f".join(parts).encode(errors="replace")


def _family(key: bytes) -> str:
    return key.split(b"\x1f", 1)[0].decode()


def _keys(data: bytes | mmap.mmap) -> list[bytes]:
    keys = []
    for start in range(ROWS * 8, FILE_BYTES, KEY_BYTES):
        key = bytes(data[start : start + KEY_BYTES]).rstrip(b"\0")
        if not key:
            break
        keys.append(key)
    return keys


def render(state_directory: Path) -> bytes:
    """All workers' numbers together, in Prometheus's text format."""
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for folder in slots.folders(state_directory):
        lives = slots.owner_lives(folder)
        for key, value in _read(folder / FILE_NAME):
            family, _, labels = key.decode().partition("\x1f")
            if family in FAMILIES and (lives or FAMILIES[family][0] != "gauge"):
                totals[family][labels] += value
    lines = []
    for family, (kind, text) in FAMILIES.items():
        lines += [f"# HELP {family} {text}", f"# TYPE {family} {kind}"]
        samples = totals[family]
        lines += _histogram_lines(family, samples) if kind == "histogram" else _lines(family, samples)
    return ("\n".join(lines) + "\n").encode()


def _read(path: Path) -> list[tuple[bytes, float]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    if len(data) != FILE_BYTES:
        return []
    values = memoryview(data)[: ROWS * 8].cast("d")
    return [(key, values[at]) for at, key in enumerate(_keys(data))]


def _lines(family: str, samples: dict[str, float]) -> list[str]:
    return [f"{family}{_labels(labels)} {value!r}" for labels, value in sorted(samples.items())]


def _histogram_lines(family: str, samples: dict[str, float]) -> list[str]:
    """Prometheus wants buckets that count everything up to their bound; kept are counts between bounds."""
    series: dict[str, dict[str, float]] = defaultdict(dict)
    for labels, value in samples.items():
        rest, _, bound = labels.rpartition("le=")
        series[rest.rstrip("\x1f")][bound] = value
    lines = []
    for labels, buckets in sorted(series.items()):
        count = 0.0
        for bound in [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]:
            count += buckets.get(bound, 0.0)
            lines.append(f"{family}_bucket{_labels(labels, le=bound)} {count!r}")
        lines.append(f"{family}_sum{_labels(labels)} {buckets.get(SUM, 0.0)!r}")
        lines.append(f"{family}_count{_labels(labels)} {count!r}")
    return lines


def _labels(labels: str, **more: str) -> str:
    pairs = [part.partition("=")[::2] for part in labels.split("\x1f") if part] + list(more.items())
    if not pairs:
        return ""
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return "{" + text + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
