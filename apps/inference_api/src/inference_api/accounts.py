"""What is kept of the answers: how many and how long, and a record of each prediction."""

from __future__ import annotations

import hashlib
import time

from inference_api.metrics import Cell, Histogram, Metrics
from inference_api.models import Model, Result, Tensors
from inference_api.records import Recorder, Stored
from inference_api.settings import Settings
from inference_api.stores import Prediction


class Accounts:
    """One worker's; nothing here waits for anything."""

    def __init__(self, settings: Settings, metrics: Metrics, recorder: Recorder) -> None:
        self._output_limit, self._metrics, self._recorder = settings.record_output_limit_bytes, metrics, recorder
        self._requests: dict[tuple[str, int], Cell] = {}
        self._seconds: dict[str, Histogram] = {}
        self._calls = metrics.cell("inference_api_engine_calls_total")
        self._merged = metrics.cell("inference_api_engine_merged_total")

    def called(self, requests: int) -> None:
        """Count a call to the engine for so many requests."""
        self._calls.add()
        self._merged.add(requests)

    def count(self, model: str, status: int, seconds: float) -> None:
        """Count an answer."""
        cell = self._requests.get((model, status))
        if cell is None:
            cell = self._metrics.cell("inference_api_requests_total", model=model, code=str(status))
            self._requests[model, status] = cell
        cell.add()
        histogram = self._seconds.get(model)
        if histogram is None:
            histogram = self._seconds[model] = self._metrics.histogram("inference_api_request_seconds", model=model)
        histogram.observe(seconds)

    def record(
        self,
        prediction_id: str,
        request_id: str,
        client: str,
        model: Model,
        tensors: Tensors,
        result: Result,
        outputs: bytes,
        seconds: float,
    ) -> Stored | None:
        """Put a prediction on record; its outputs, as JSON, where they are not too large. See Recorder.add."""
        return self._recorder.add(
            Prediction(
                id=prediction_id,
                request_id=request_id,
                at=time.time(),
                client=client,
                model=model.name,
                version=result.version,
                latency_ms=seconds * 1000,
                rows=tensors.rows,
                digest=hashlib.sha256(b"".join(tensors.raw)).digest(),
                output=outputs.decode() if len(outputs) <= self._output_limit else None,
            )
        )
