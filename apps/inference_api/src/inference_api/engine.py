"""What a model runs in: Triton beside the service, or ONNX Runtime inside it. Requests and answers are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from inference_api import problems
from inference_api.metrics import Metrics
from inference_api.models import Model, Models, Result, Tensors
from inference_api.settings import Settings


class Engine(Protocol):
    """Lists models and answers for them."""

    @property
    def source(self) -> str:
        """Where its models come from, as readiness and errors name it."""

    @property
    def standalone(self) -> bool:
        """Whether it goes on answering while its source is away."""

    @property
    def available(self) -> bool:
        """Whether it answered the last time."""

    @property
    def calls(self) -> int:
        """How many calls a version of a model takes at once."""

    @property
    def refused(self) -> Mapping[tuple[str, str], str]:
        """Published versions that cannot be served (model, version), and why."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What `models` raises while the source is away."""

    async def models(self) -> Models:
        """Every ready model with its versions, shapes and batch limit."""

    async def infer(self, model: Model, version: str, requests: Sequence[Tensors]) -> Result:
        """One call for all `requests`, their rows one after the other; errors as Problem. No version means the newest."""

    async def close(self) -> None:
        """Let go of what it holds."""


def make_engine(settings: Settings, metrics: Metrics) -> Engine:
    """The engine that the settings name; the other one's libraries are not even loaded."""
    if settings.engine == "triton":
        from inference_api.triton import Triton

        return Triton(settings)
    from inference_api.onnx_engine import OnnxRuntime

    return OnnxRuntime(settings, metrics)


def merged_rows(model: Model, requests: Sequence[Tensors], result: Result) -> Result:
    """The result, with a row for each row that went in; Problem 502 else."""
    if model.batches:
        rows = sum(request.rows for request in requests)
        if any(array.shape[:1] != (rows,) for _, array in result.outputs.values()):
            raise problems.model_failed(f"{rows} rows went in, another number came out")
    return result
