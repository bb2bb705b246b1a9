"""ONNX Runtime in this process: the newest good versions of every published model, changed while requests go on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inference_api.catalog import BadVersionError, Catalog, File
from inference_api.engine import merged_rows
from inference_api.metrics import Metrics
from inference_api.models import Model, Models, Result, Tensors
from inference_api.objects import Objects
from inference_api.sessions import NoModelError, Session
from inference_api.settings import Settings

logger = logging.getLogger("inference_api")

PLATFORM = "onnxruntime_onnx"  # as Triton calls it
LOOK_AGAIN = 10  # a version that was bad is read again after so many looks at the manifest: it may have been repaired

Key = tuple[str, str]  # model, version


@dataclass(frozen=True)
class LoadedModel(Model):
    """A version with its session: who has it in hand can finish, whatever is published meanwhile."""

    session: Session
    others: Mapping[str, LoadedModel]

    def of(self, version: str) -> Model:
        """See Model: each version says itself what it takes."""
        return self.others.get(version, self)


@dataclass(frozen=True)
class _Refusal:
    file: File | None
    reason: str
    until: float  # time.monotonic


class OnnxRuntime:
    """Loads what is published and answers from memory."""

    source = "object-storage"
    standalone = True
    errors = Catalog.errors

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.available = False
        self.calls = settings.onnxruntime_calls_limit
        self._settings, self._metrics = settings, metrics
        self._catalog = Catalog(Objects(settings.models_url, settings))
        self._loaded: dict[Key, tuple[File | None, Session]] = {}
        self._refusals: dict[Key, _Refusal] = {}
        self._shown: set[tuple[str, Key]] = set()

    @property
    def refused(self) -> Mapping[Key, str]:
        """See Engine."""
        return {key: refusal.reason for key, refusal in self._refusals.items()}

    async def models(self) -> Models:
        """See Engine. Of each model the newest versions that can be served, as many as the settings want."""
        published = await self._catalog.published()
        looked_at: set[Key] = set()
        served = {name: await self._newest(name, versions, looked_at) for name, versions in published.items()}
        kept = {(name, session.version) for name, sessions in served.items() for session in sessions}
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if key in kept}
        self._refusals = {key: refusal for key, refusal in self._refusals.items() if key in looked_at}
        self._show()
        self.available = bool(kept)
        return {name: self._model(name, sessions) for name, sessions in served.items() if sessions}

    async def _newest(self, name: str, versions: Mapping[str, File | None], looked_at: set[Key]) -> list[Session]:
        found: list[Session] = []
        for number in reversed(list(versions)):
            looked_at.add((name, number))
            session = await self._session((name, number), versions[number])
            if session is not None:
                found.append(session)
            if len(found) == self._settings.onnxruntime_versions:
                break
        return found

    async def _session(self, key: Key, file: File | None) -> Session | None:
        """The version's session, made when it is new; what was loaded, if anything, when it cannot be."""
        known, refusal = self._loaded.get(key), self._refusals.get(key)
        old = known[1] if known else None
        if known is not None and known[0] == file:
            self._refusals.pop(key, None)
            return old
        if refusal is not None and refusal.file == file and time.monotonic() < refusal.until:
            return old
        try:
            data = await self._catalog.read(*key, file)
            session = await asyncio.to_thread(Session, key[1], data, self._settings)
        except (BadVersionError, NoModelError) as error:
            if refusal is None or refusal.reason != str(error):
                logger.error("model %s version %s is not served: %s", *key, error)
            again = time.monotonic() + LOOK_AGAIN * self._settings.models_refresh_seconds
            self._refusals[key] = _Refusal(file, str(error), again)
            return old
        logger.info("model %s version %s: loaded, %d bytes", *key, len(data))
        self._loaded[key] = file, session
        self._refusals.pop(key, None)
        return session

    def _model(self, name: str, newest: Sequence[Session]) -> Model:
        numbers = tuple(session.version for session in reversed(newest))
        others: dict[str, LoadedModel] = {}
        for session in newest:
            rows = self._settings.onnxruntime_rows_limit if session.batches else 0
            others[session.version] = LoadedModel(
                name, numbers, PLATFORM, session.inputs, session.outputs, rows, session, {}
            )
        return replace(others[newest[0].version], others=others)

    def _show(self) -> None:
        now = {("served", key) for key in self._loaded} | {("refused", key) for key in self._refusals}
        for state, (model, version) in self._shown | now:
            cell = self._metrics.cell(f"inference_api_versions_{state}", model=model, version=version)
            cell.set((state, (model, version)) in now)
        self._shown = now

    async def infer(self, model: Model, version: str, requests: Sequence[Tensors]) -> Result:
        """See Engine."""
        assert isinstance(model, LoadedModel), "models of this engine are"
        return merged_rows(model, requests, await model.session.infer(model, requests))

    async def close(self) -> None:
        """See Engine."""
        self._loaded.clear()
