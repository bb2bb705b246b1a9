"""A prediction from the key to the record. Both doors, the quick one and the routed one, end here."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from inference_api import codecs, problems, slots
from inference_api.batching import Batcher
from inference_api.codecs import Codec
from inference_api.database import Database
from inference_api.deadlines import Deadlines
from inference_api.ids import new_id
from inference_api.keys import Keys
from inference_api.metrics import Cell, Histogram, Metrics
from inference_api.models import Model, Models, Tensors
from inference_api.problems import Answer, Problem
from inference_api.records import Prediction, Recorder
from inference_api.refreshed import Refreshed
from inference_api.settings import Settings
from inference_api.triton import Triton, UnavailableError

logger = logging.getLogger("inference_api")

LOOK_AGAIN_SECONDS = 1.0
GONE = 499  # the client hung up; never sent, only counted


class ClientGoneError(Exception):
    """The client hung up before its body was complete."""


class Call(NamedTuple):
    """What the head of a request says."""

    path: str
    model: str
    version: str
    key: bytes | None
    request_id: str


ReadBody = Callable[[], Awaitable[bytes]]


class Service:
    """Everything one worker holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._slot = slots.claim(settings.state_directory)
        self.metrics = Metrics(self._slot.folder)
        self.triton = Triton(settings)
        self.database = Database(settings)
        self.keys = Keys(settings, self.database)
        empty: Models = {}
        self.models = Refreshed(
            "models", self._load_models, empty, settings.models_refresh_seconds, (UnavailableError,)
        )
        self._recorder = Recorder(settings, self.database, self._slot, self.metrics)
        self._deadlines = Deadlines(settings.time_limit_seconds)
        self._batchers: dict[tuple[str, str], Batcher] = {}
        self._in_flight = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._requests: dict[tuple[str, int], Cell] = {}
        self._seconds: dict[str, Histogram] = {}
        self._calls = self.metrics.cell("inference_api_triton_calls_total")
        self._merged = self.metrics.cell("inference_api_triton_merged_total")

    async def start(self) -> None:
        """Begin the background work; what is away is waited for there, not here."""
        run = asyncio.get_running_loop().create_task
        self._recorder.start()
        self._tasks = [run(work) for work in (self.keys.table.run(), self.models.run(), self._deadlines.run())]
        self._tasks.append(run(self._show_gauges()))

    async def stop(self) -> None:
        """End the background work; no prediction that was answered is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._recorder.stop()
        await self.database.close()
        await self.triton.close()
        self._slot.close()

    async def _load_models(self) -> Models:
        """Models that did not change stay the same objects: only requests for the same object are merged."""
        old = self.models.value
        found = await self.triton.models()
        return {name: old[name] if old.get(name) == model else model for name, model in found.items()}

    async def _show_gauges(self) -> None:
        cells = {
            name: self.metrics.cell(f"inference_api_{name}")
            for name in ("in_flight", "queue", "triton_up", "database_up")
        }
        while True:
            cells["in_flight"].set(self._in_flight)
            cells["queue"].set(sum(len(batcher) for batcher in self._batchers.values()))
            cells["triton_up"].set(self.triton.available)
            cells["database_up"].set(self.database.available)
            await asyncio.sleep(0.2)

    async def handle(self, call: Call, read_body: ReadBody, codec: Codec, prediction_id: str) -> Answer:
        """The answer to one prediction request, whatever happens; its id and time are on record when it succeeded."""
        started = time.perf_counter()
        task = asyncio.current_task()
        assert task is not None
        self._deadlines.enter(task, started)
        model = ""
        try:
            client = self.keys.known(call.key) if call.key else None
            if client is None:
                client = await self.keys.client(call.key)
            if self._in_flight >= self.settings.in_flight_limit:
                raise problems.busy(self.settings.in_flight_limit)
            self._in_flight += 1
            try:
                found, answer = await self._predict(call, read_body, codec, prediction_id, client.name, started)
                model = found.name
            finally:
                self._in_flight -= 1
        except Problem as problem:
            model = call.model if call.model in self.models.value else ""
            answer = problem.answer(call.request_id, call.path)
        except asyncio.CancelledError:
            if not self._deadlines.expired(task):
                raise
            answer = problems.timed_out(self.settings.time_limit_seconds).answer(call.request_id, call.path)
        except ClientGoneError:
            answer = Answer(GONE, b"")
        except Exception:
            logger.exception("request %s failed", call.request_id)
            answer = problems.internal().answer(call.request_id, call.path)
        finally:
            self._deadlines.leave(task)
        self._count(model, answer.status, time.perf_counter() - started)
        return answer

    async def _predict(
        self, call: Call, read_body: ReadBody, codec: Codec, prediction_id: str, client: str, started: float
    ) -> tuple[Model, Answer]:
        envelope = codec.envelope(await read_body())
        version = call.version or ("" if envelope.version is None else str(envelope.version))
        model = await self.model(call.model, version)
        tensors = codec.tensors(envelope, model)
        batcher = self._batchers.get((model.name, version)) or self._new_batcher(model.name, version)
        result = await batcher.infer(model, tensors)
        outputs = codecs.outputs_json(result)
        if call.path.startswith("/v1"):
            body = codecs.predict_body(prediction_id, model, result, outputs)
        else:
            body = codecs.infer_body(prediction_id, model, result, tensors)
        self._record(prediction_id, call, client, model, result.version, tensors, outputs, started)
        return model, Answer(200, body)

    async def model(self, name: str, version: str) -> Model:
        """The model, looked for again at most once a second when unknown; Problem 404, or 503 while Triton is away."""
        model = self.models.value.get(name)
        if model is None or (version and version not in model.versions):
            await self.models.refresh(older_than=LOOK_AGAIN_SECONDS)
            model = self.models.value.get(name)
        if model is not None and (not version or version in model.versions):
            return model
        if not self.models.available:
            raise problems.waiting("The model server is not available.", "triton")
        if model is None and name in self.settings.models:
            raise problems.waiting(f"Model {name} is not ready yet.", "models")
        raise problems.unknown_model(name, version)

    def _new_batcher(self, name: str, version: str) -> Batcher:
        settings = self.settings
        batcher = Batcher(
            self.triton.infer, version, settings.merged_rows_limit, settings.triton_calls_limit, self._count_call
        )
        self._batchers[name, version] = batcher
        return batcher

    def _count_call(self, requests: int) -> None:
        self._calls.add()
        self._merged.add(requests)

    def _count(self, model: str, status: int, seconds: float) -> None:
        cell = self._requests.get((model, status))
        if cell is None:
            cell = self.metrics.cell("inference_api_requests_total", model=model, code=str(status))
            self._requests[model, status] = cell
        cell.add()
        histogram = self._seconds.get(model)
        if histogram is None:
            histogram = self._seconds[model] = self.metrics.histogram("inference_api_request_seconds", model=model)
        histogram.observe(seconds)

    def _record(
        self,
        prediction_id: str,
        call: Call,
        client: str,
        model: Model,
        version: str,
        tensors: Tensors,
        outputs: bytes,
        started: float,
    ) -> None:
        small = len(outputs) <= self.settings.record_output_limit_bytes
        self._recorder.add(
            Prediction(
                id=prediction_id,
                request_id=call.request_id,
                at=time.time(),
                client=client,
                model=model.name,
                version=version,
                latency_ms=(time.perf_counter() - started) * 1000,
                rows=tensors.rows,
                digest=hashlib.sha256(b"".join(tensors.raw)).digest(),
                output=outputs.decode() if small else None,
            )
        )

    def state(self) -> tuple[bool, list[str]]:
        """Whether predictions can be answered, and the names of what is away (known keys work without PostgreSQL)."""
        ready = set(self.models.value)
        models = self.models.loaded and bool(ready) and ready.issuperset(self.settings.models)
        away = [
            name
            for name, here in (
                ("triton", self.models.available),
                ("postgresql", self.database.available),
                ("models", models),
            )
            if not here
        ]
        return self.models.available and models and self.keys.table.loaded, away


def prediction_ids(request_id: str) -> tuple[str, str]:
    """A new prediction's id and the request's id, which is the same where the client named none."""
    made = new_id()
    return made, request_id or made
