"""Triton over gRPC: what it serves, and predictions as raw tensors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from inference_api import problems
from inference_api.engine import merged_rows
from inference_api.models import Model, Models, Result, Tensors, TensorSpec
from inference_api.settings import Settings, read
from inference_api.tensors import TensorError, from_raw

SERVICE = "/inference.GRPCInferenceService/"
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
]
messages: Any = service_pb2  # the generated module has no types
UnavailableError = grpc.aio.AioRpcError


class Triton:
    """A connection to one Triton."""

    source = "triton"
    standalone = False
    errors = (UnavailableError,)

    def __init__(self, settings: Settings) -> None:
        self.available = False
        self.calls = settings.triton_calls_limit
        self.refused: Mapping[tuple[str, str], str] = {}  # Triton does not tell
        self._limit = settings.time_limit_seconds
        self._channel = self._connect(settings)
        self._infer = self._method("ModelInfer", messages.ModelInferRequest, messages.ModelInferResponse)
        self._index = self._method("RepositoryIndex", messages.RepositoryIndexRequest, messages.RepositoryIndexResponse)
        self._metadata = self._method("ModelMetadata", messages.ModelMetadataRequest, messages.ModelMetadataResponse)
        self._config = self._method("ModelConfig", messages.ModelConfigRequest, messages.ModelConfigResponse)

    @staticmethod
    def _connect(settings: Settings) -> Any:
        if not settings.triton_tls:
            return grpc.aio.insecure_channel(settings.triton_address, CHANNEL_OPTIONS)
        certificate = key = None
        if settings.triton_certificate_file and settings.triton_key_file:
            certificate = read(settings.triton_certificate_file, "triton_certificate_file")
            key = read(settings.triton_key_file, "triton_key_file")
        credentials = grpc.ssl_channel_credentials(read(settings.triton_ca_file, "triton_ca_file"), key, certificate)
        return grpc.aio.secure_channel(settings.triton_address, credentials, CHANNEL_OPTIONS)

    def _method(self, name: str, request: Any, response: Any) -> Any:
        return self._channel.unary_unary(
            SERVICE + name, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )

    async def models(self) -> Models:
        """Every ready model with its versions, shapes and batch limit."""
        try:
            index = await self._index(messages.RepositoryIndexRequest(ready=True), timeout=self._limit)
            names = sorted({entry.name for entry in index.models})
            found = await asyncio.gather(*(self._model(name) for name in names))
        except UnavailableError as error:
            self._note(error)
            raise
        self.available = True
        return {model.name: model for model in found if model is not None}

    async def _model(self, name: str) -> Model | None:
        try:
            metadata, answer = await asyncio.gather(
                self._metadata(messages.ModelMetadataRequest(name=name), timeout=self._limit),
                self._config(messages.ModelConfigRequest(name=name), timeout=self._limit),
            )
        except UnavailableError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:  # unloaded since the index was read
                return None
            raise
        return Model(
            name=name,
            versions=tuple(metadata.versions),
            platform=metadata.platform,
            inputs=_specs(metadata.inputs),
            outputs=_specs(metadata.outputs),
            rows_limit=answer.config.max_batch_size,
        )

    async def infer(self, model: Model, version: str, requests: Sequence[Tensors]) -> Result:
        """One call for all `requests`, their rows one after the other; errors as Problem."""
        message = messages.ModelInferRequest(model_name=model.name, model_version=version)
        for position, spec in enumerate(model.inputs):
            shape = requests[0].shapes[position]
            if model.batches:
                shape = (sum(request.rows for request in requests), *shape[1:])
            tensor = message.inputs.add(name=spec.name, datatype=spec.datatype)
            tensor.shape.extend(shape)
            message.raw_input_contents.append(b"".join(request.raw[position] for request in requests))
        try:
            answer = await self._infer(message, timeout=self._limit)
        except UnavailableError as error:
            self._note(error)
            raise self._problem(error) from error
        self.available = True
        try:
            result = _result(answer)
        except TensorError as error:
            raise problems.model_failed(str(error)) from error
        return merged_rows(model, requests, result)

    def _note(self, error: Any) -> None:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            self.available = False

    def _problem(self, error: Any) -> problems.Problem:
        code, detail = error.code(), error.details() or ""
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
            return problems.waiting("The model server is not available.", "triton")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return problems.timed_out(self._limit)
        if code is grpc.StatusCode.NOT_FOUND:
            return problems.Problem(404, "unknown-model", detail)
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            return problems.invalid(detail)
        return problems.model_failed(detail)

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in tensors)


def _result(answer: Any) -> Result:
    if len(answer.raw_output_contents) != len(answer.outputs):
        raise TensorError("the outputs did not come as raw tensors")
    outputs = {
        tensor.name: (tensor.datatype, from_raw(raw, tensor.datatype, tuple(tensor.shape)))
        for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
    return Result(answer.model_version, outputs)
