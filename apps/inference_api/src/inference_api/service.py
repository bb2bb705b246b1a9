"""A prediction from the key to the record. All doors end here: the routed one, the quick one, and the connection itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from inference_api import codecs, problems, slots
from inference_api.accounts import Accounts
from inference_api.batching import Batcher
from inference_api.codecs import Codec
from inference_api.deadlines import Deadlines
from inference_api.engine import make_engine
from inference_api.ids import new_id
from inference_api.keys import Keys
from inference_api.metrics import Metrics
from inference_api.models import Model, Models, Result, Tensors
from inference_api.problems import Answer, Problem
from inference_api.records import Recorder, Stored
from inference_api.refreshed import Refreshed
from inference_api.settings import Settings
from inference_api.stores import Client, ClockError, RefusedError, make_store

logger = logging.getLogger("inference_api")

LOOK_AGAIN_SECONDS = 1.0
NO_MODEL = "no model can be served"
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
Answered = Callable[[Answer], None]


class Service:
    """Everything one worker holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._slot = slots.claim(settings.state_directory)
        self.metrics = Metrics(self._slot.folder)
        self.engine = make_engine(settings, self.metrics)
        self.store, source = make_store(settings)
        self.keys = Keys(settings, source)
        empty: Models = {}
        self.models = Refreshed(
            "models", self._load_models, empty, settings.models_refresh_seconds, self.engine.errors, without=NO_MODEL,
            on_request=settings.models_refresh_on_request,
        )  # fmt: skip
        self._recorder = Recorder(settings, self.store, self._slot, self.metrics)
        self._deadlines = Deadlines(settings.time_limit_seconds)
        self._batchers: dict[tuple[str, str], Batcher] = {}
        self._in_flight = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._accounts = Accounts(settings, self.metrics, self._recorder)

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
        await self.models.stop()
        await self._recorder.stop()
        await self.store.close()
        await self.engine.close()
        self._slot.close()

    async def _load_models(self) -> Models:
        """Models that did not change stay the same objects: only requests for the same object are merged."""
        old = self.models.value
        found = await self.engine.models()
        if not found and (old or not self.models.loaded):
            logger.error("%s: %s offers none", NO_MODEL, self.engine.source)
        return {name: old[name] if old.get(name) == model else model for name, model in found.items()}

    async def _show_gauges(self) -> None:
        cells = {
            name: self.metrics.cell(f"inference_api_{name}")
            for name in ("in_flight", "queue", "engine_up", "models_up", "store_up", "clock_refused")
        }
        while True:
            cells["in_flight"].set(self._in_flight)
            cells["queue"].set(sum(len(batcher) for batcher in self._batchers.values()))
            cells["engine_up"].set(self.engine.available)
            cells["models_up"].set(self.models.available)
            cells["store_up"].set(self.store.available)
            cells["clock_refused"].set(self._clock_refused)
            await asyncio.sleep(0.2)

    async def handle(self, call: Call, read_body: ReadBody, codec: Codec, prediction_id: str) -> Answer:
        """The answer to one prediction request, whatever happens; its id and time are on record when it succeeded."""
        started = time.perf_counter()
        task = asyncio.current_task()
        assert task is not None
        stored: Stored | None = None
        self._deadlines.enter(task, started)
        try:
            client = self.keys.known(call.key) if call.key else None
            if client is None:
                client = await self.keys.client(call.key)
            if self._in_flight >= self.settings.in_flight_limit:
                raise problems.busy(self.settings.in_flight_limit)
            self._in_flight += 1
            try:
                envelope = codec.envelope(await read_body())
                version = wanted_version(call, envelope)
                model = await self.model(call.model, version)
                tensors = codec.tensors(envelope, model)
                result = await self._batcher(model, version).infer(model, tensors)
                answer, stored = self._succeeded(call, prediction_id, client, model, tensors, result, started)
                if stored is not None:
                    await self._on_record(stored)
            finally:
                self._in_flight -= 1
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not self._deadlines.expired(task):
                raise
            # who has waited for the store in vain hears that, also where the time limit ended it
            known = stored is None or isinstance(error, Problem)
            answer = self._failed(call, error if known else problems.unrecorded(self.store.name))
        finally:
            self._deadlines.leave(task)
        self._count(call, answer, started)
        return answer

    def begin(self, call: Call, body: bytes, codec: Codec, prediction_id: str, answered: Answered) -> bool:
        """Send a request on that needs to wait for nothing but the model: `answered` is called with its answer, later.

        False, and nothing done, for every other one: those, and the wrong ones, are for `handle`.
        """
        if self.settings.records_durable or self.models.behind:  # there is the store to wait for too, or the models
            return False
        started = time.perf_counter()
        client = self.keys.known(call.key) if call.key else None
        settings = self.settings
        if client is None or self._in_flight >= settings.in_flight_limit or len(body) > settings.body_limit_bytes:
            return False
        model = self.models.value.get(call.model)
        if model is None:
            return False
        try:
            envelope = codec.envelope(body)
            version = wanted_version(call, envelope)
            if version and version not in model.versions:
                return False
            model = model.of(version)
            tensors = codec.tensors(envelope, model)
        except Problem:
            return False

        def done(result: asyncio.Future[Result]) -> None:
            self._in_flight -= 1
            self._deadlines.leave(result)
            try:
                answer, _ = self._succeeded(call, prediction_id, client, model, tensors, result.result(), started)
            except (Exception, asyncio.CancelledError) as error:  # cancelled by nobody but the deadline
                answer = self._failed(call, error)
            self._count(call, answer, started)
            answered(answer)

        self._in_flight += 1
        result = self._batcher(model, version).infer(model, tensors)
        self._deadlines.enter(result, started)
        result.add_done_callback(done)
        return True

    async def _on_record(self, stored: Stored) -> None:
        """Return when the prediction is on record; Problem when it is not, or never will be."""
        try:
            if not await stored:
                raise problems.unrecorded(self.store.name)
        except RefusedError as error:
            raise problems.unrecordable(self.store.name) from error

    def _succeeded(
        self,
        call: Call,
        prediction_id: str,
        client: Client,
        model: Model,
        tensors: Tensors,
        result: Result,
        started: float,
    ) -> tuple[Answer, Stored | None]:
        """The answer, and what it has to wait for."""
        outputs = codecs.outputs_json(result)
        if call.path.startswith("/v1"):
            body = codecs.predict_body(prediction_id, model, result, outputs)
        else:
            body = codecs.infer_body(prediction_id, model, result, tensors)
        if len(body) > self.settings.answer_limit_bytes:
            raise problems.answer_too_large(len(body), self.settings.answer_limit_bytes)
        seconds = time.perf_counter() - started
        known = prediction_id, call.request_id, client.name
        return Answer(200, body), self._accounts.record(*known, model, tensors, result, outputs, seconds)

    def _failed(self, call: Call, error: BaseException) -> Answer:
        if isinstance(error, ClientGoneError):
            return Answer(GONE, b"")
        if isinstance(error, asyncio.CancelledError):
            error = problems.timed_out(self.settings.time_limit_seconds)
        elif not isinstance(error, Problem):
            logger.error("request %s failed", call.request_id, exc_info=error)
            error = problems.internal()
        return error.answer(call.request_id, call.path)

    def _count(self, call: Call, answer: Answer, started: float) -> None:
        model = call.model if call.model in self.models.value else ""
        self._accounts.count(model, answer.status, time.perf_counter() - started)

    async def look(self) -> None:
        """See what was published meanwhile, where nobody else looks; half of the time limit stays for the prediction."""
        await self.models.catch_up(self.settings.time_limit_seconds / 2)

    async def model(self, name: str, version: str) -> Model:
        """The model, looked for again at most once a second when unknown; Problem 404, or 503 while they cannot be read."""
        await self.look()
        model = self.models.value.get(name)
        if model is None or (version and version not in model.versions):
            await self.models.refresh(older_than=LOOK_AGAIN_SECONDS)
            model = self.models.value.get(name)
        if model is not None and (not version or version in model.versions):
            return model.of(version)
        if not self.models.available:
            raise self.no_engine()
        if model is None and name in self.settings.models:
            raise problems.waiting(f"Model {name} is not ready yet.", "models")
        raise problems.unknown_model(name, version)

    def _batcher(self, model: Model, version: str) -> Batcher:
        batcher = self._batchers.get((model.name, version))
        if batcher is None:
            rows, engine = self.settings.merged_rows_limit, self.engine
            batcher = Batcher(engine.infer, version, rows, engine.calls, self._accounts.called)
            self._batchers[model.name, version] = batcher
        return batcher

    @property
    def engine_ready(self) -> bool:
        """Whether the models that were found can be asked."""
        return self.models.loaded if self.engine.standalone else self.models.available

    def no_engine(self) -> Problem:
        """The answer while it is not."""
        return problems.waiting("The model server is not available.", self.engine.source)

    @property
    def _clock_refused(self) -> bool:
        return any(isinstance(error, ClockError) for error in (self.models.error, self._recorder.error))

    def state(self) -> tuple[bool, list[str]]:
        """Whether predictions can be answered, and the names of what is away or held back (known keys and loaded models
        go on working without their source)."""
        ready = set(self.models.value)
        models = self.models.loaded and bool(ready) and ready.issuperset(self.settings.models)
        here = [
            (self.engine.source, self.models.available),
            (self.store.name, self.store.available),
            (self.keys.source.name, self.keys.table.loaded),
            ("models", models),
            ("clock", not self._clock_refused),
            *((f"model {model} version {version}", False) for model, version in self.engine.refused),
        ]
        away = list(dict.fromkeys(name for name, is_here in here if not is_here))
        return self.engine_ready and models and self.keys.table.loaded, away


def wanted_version(call: Call, envelope: Any) -> str:
    """The version that the path or the body names, or nothing."""
    return call.version or ("" if envelope.version is None else str(envelope.version))


def prediction_ids(request_id: str) -> tuple[str, str]:
    """A new prediction's id and the request's id, which is the same where the client named none."""
    made = new_id()
    return made, request_id or made
