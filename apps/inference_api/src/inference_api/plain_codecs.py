"""The same bodies read by pydantic, for the routed door: what the documentation shows, and a check on the quick way."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference_api.codecs import (
    check_shape,
    declared_input,
    one_tensor,
    refuse_binary,
    several_tensors,
    shaped,
    single_input,
)
from inference_api.models import Model, Tensors
from inference_api.problems import invalid
from inference_api.tensors import Array, TensorError, element_type, from_lists


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Body = TypeVar("Body", bound=_Body)


class PredictRequest(_Body):
    """Rows for a model with one input; a single row may come without its outer list."""

    inputs: Annotated[list[Any], Field(examples=[[[0.0, 1.5, 3.0]]])]
    version: str | int | None = None


class PredictResponse(_Body):
    """One entry a row in every output. An entry is a list, also where it has one element, as the label of a picture."""

    id: str
    model: str
    version: str
    outputs: dict[str, list[Any]]


class InferTensor(_Body):
    """A tensor; its data flat and row-major, or nested."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class InferOutput(_Body):
    """An output that the request asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(_Body):
    """The Open Inference Protocol's inference request."""

    inputs: list[InferTensor]
    id: str = ""
    outputs: list[InferOutput] = []
    parameters: dict[str, Any] = {}

    @property
    def version(self) -> None:
        """Named by the path in this protocol."""
        return None


class InferResponse(_Body):
    """The Open Inference Protocol's inference response."""

    model_name: str
    model_version: str
    id: str
    outputs: list[InferTensor]


class PlainPredictCodec:
    """See codecs.PredictCodec."""

    def envelope(self, body: bytes) -> PredictRequest:
        """See codecs.Codec."""
        return _validated(PredictRequest, body)

    def tensors(self, envelope: PredictRequest, model: Model) -> Tensors:
        """See codecs.Codec."""
        spec = single_input(model)
        rank = len(spec.shape)
        ranks = (rank, rank - 1) if model.batches else (rank,)
        return one_tensor(_array(envelope.inputs, spec.datatype, ranks, "inputs", model), spec, model)


class PlainInferCodec:
    """See codecs.InferCodec."""

    def envelope(self, body: bytes) -> InferRequest:
        """See codecs.Codec."""
        return _validated(InferRequest, body)

    def tensors(self, envelope: InferRequest, model: Model) -> Tensors:
        """See codecs.Codec."""
        refuse_binary([envelope, *envelope.inputs, *envelope.outputs])
        arrays = {}
        for tensor in envelope.inputs:
            shape, what = tuple(tensor.shape), f"input {tensor.name}"
            spec = declared_input(tensor.name, tensor.datatype, shape, model)
            check_shape(shape, spec, model, what)
            array = _array(tensor.data, spec.datatype, (1, len(shape)), what, model)
            try:
                arrays[tensor.name] = shaped(array, shape)
            except TensorError as error:
                raise invalid(f"{what}: {error}", model.expected()) from error
        return several_tensors(arrays, tuple(output.name for output in envelope.outputs), envelope.id, model)


def _validated(kind: type[Body], body: bytes) -> Body:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise invalid(f"The body is not the JSON that is wanted: {place}: {first['msg']}") from error


def _array(values: Any, datatype: str, ranks: tuple[int, ...], what: str, model: Model) -> Array:
    try:
        _check(values, element_type(datatype), set(ranks), 0)
        return from_lists(values, datatype)
    except TensorError as error:
        raise invalid(f"{what}: {error}", model.expected()) from error


def _check(values: Any, kind: type, ranks: set[int], depth: int) -> None:
    """Every element must be of the kind and at one of the depths."""
    if isinstance(values, list):
        if depth >= max(ranks):
            raise TensorError("the lists are nested too deep")
        for value in values:
            _check(value, kind, ranks, depth + 1)
        return
    number = kind is float and isinstance(values, int) and not isinstance(values, bool)
    if type(values) is not kind and not number:
        raise TensorError(f"{json.dumps(values)} is not a {kind.__name__}")
    if depth not in ranks:
        raise TensorError("the lists are not nested deep enough")
