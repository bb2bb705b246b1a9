"""Request bodies to tensors and results to bodies, for both protocols: the quick way, by msgspec.

A codec works in two steps because the body may name the version: `envelope` reads the outside, `tensors` the inputs of
the model that was then found. `plain_codecs.py` does the same for the routed door with pydantic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import orjson

from inference_api.models import Model, Result, Tensors, TensorSpec
from inference_api.problems import invalid
from inference_api.tensors import Array, TensorError, from_json, to_raw

Outside = TypeVar("Outside")


class Codec(Protocol):
    """How one protocol's bodies are read."""

    def envelope(self, body: bytes) -> Any:
        """The outside of the body; Problem 400 when it is not what the protocol says."""

    def tensors(self, envelope: Any, model: Model) -> Tensors:
        """The inputs for the model; Problem 400 when they do not fit."""


class PredictEnvelope(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/predict/{model}`."""

    inputs: msgspec.Raw
    version: str | int | None = None


class InferTensor(msgspec.Struct, forbid_unknown_fields=True):
    """One input tensor of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    parameters: dict[str, Any] = {}


class InferOutput(msgspec.Struct, forbid_unknown_fields=True):
    """One output that a request asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferEnvelope(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v2/models/{model}/infer`."""

    inputs: list[InferTensor]
    id: str = ""
    outputs: list[InferOutput] = []
    parameters: dict[str, Any] = {}

    @property
    def version(self) -> None:
        """Named by the path in this protocol."""
        return None


_decode_predict = msgspec.json.Decoder(PredictEnvelope).decode
_decode_infer = msgspec.json.Decoder(InferEnvelope).decode


class PredictCodec:
    """`{"inputs": rows}` for models with one input; a single row may come without its outer list."""

    def envelope(self, body: bytes) -> PredictEnvelope:
        """See Codec."""
        return decoded(_decode_predict, body)

    def tensors(self, envelope: PredictEnvelope, model: Model) -> Tensors:
        """See Codec."""
        spec = single_input(model)
        rank = len(spec.shape)
        try:
            array = from_json(envelope.inputs, spec.datatype, (rank, rank - 1 if model.batches else rank))
        except TensorError as error:
            raise invalid(f"inputs: {error}", model.expected()) from error
        return one_tensor(array, spec, model)


class InferCodec:
    """The Open Inference Protocol's JSON tensors."""

    def envelope(self, body: bytes) -> InferEnvelope:
        """See Codec."""
        return decoded(_decode_infer, body)

    def tensors(self, envelope: InferEnvelope, model: Model) -> Tensors:
        """See Codec."""
        refuse_binary([envelope, *envelope.inputs, *envelope.outputs])
        arrays = {}
        for tensor in envelope.inputs:
            spec = declared_input(tensor.name, tensor.datatype, tuple(tensor.shape), model)
            try:
                arrays[tensor.name] = shaped(
                    from_json(tensor.data, spec.datatype, (1, len(tensor.shape))), tuple(tensor.shape)
                )
            except TensorError as error:
                raise invalid(f"input {tensor.name}: {error}", model.expected()) from error
        return several_tensors(arrays, tuple(output.name for output in envelope.outputs), envelope.id, model)


def decoded(decode: Callable[[bytes], Outside], body: bytes) -> Outside:
    """What the decoder reads; Problem 400 with its words."""
    try:
        if not body.isascii():
            body.decode()  # the decoder looks at the outside only and would leave this for later
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"The body is not the JSON that is wanted: {error}") from error


def single_input(model: Model) -> TensorSpec:
    """The model's only input, which is what /v1 can serve."""
    if len(model.inputs) != 1:
        raise invalid(
            f"Model {model.name} has {len(model.inputs)} inputs: use POST /v2/models/{model.name}/infer.",
            model.expected(),
        )
    return model.inputs[0]


def one_tensor(array: Array, spec: TensorSpec, model: Model) -> Tensors:
    """The request's only tensor, checked."""
    if model.batches and array.ndim == len(spec.shape) - 1:
        array = array[None]
    check_shape(array.shape, spec, model, "inputs")
    return Tensors(array.shape[0] if model.batches else 1, (array.shape,), (to_raw(array),))


def several_tensors(arrays: dict[str, Array], outputs: tuple[str, ...], client_id: str, model: Model) -> Tensors:
    """The request's tensors in the model's order, checked."""
    missing = [spec.name for spec in model.inputs if spec.name not in arrays]
    if missing:
        raise invalid(f"The input {missing[0]} is missing.", model.expected())
    unknown = set(outputs) - {spec.name for spec in model.outputs}
    if unknown:
        raise invalid(f"Model {model.name} has no output {min(unknown)}.", model.expected())
    ordered = [arrays[spec.name] for spec in model.inputs]
    rows = 1
    if model.batches:
        counts = {array.shape[0] for array in ordered}
        if len(counts) != 1:
            raise invalid("The inputs have different numbers of rows.", model.expected())
        rows = counts.pop()
    shapes = tuple(array.shape for array in ordered)
    return Tensors(rows, shapes, tuple(to_raw(array) for array in ordered), outputs, client_id)


def declared_input(name: str, datatype: str, shape: tuple[int, ...], model: Model) -> TensorSpec:
    """The model's input of that name, when datatype and shape agree."""
    for spec in model.inputs:
        if spec.name == name:
            if datatype != spec.datatype:
                raise invalid(
                    f"input {name}: datatype {datatype} was sent, {spec.datatype} is expected.", model.expected()
                )
            check_shape(shape, spec, model, f"input {name}")
            return spec
    raise invalid(f"Model {model.name} has no input {name}.", model.expected())


def check_shape(shape: tuple[int, ...], spec: TensorSpec, model: Model, what: str) -> None:
    """Problem 400 with the expected shape unless this one fits the model's input and batch."""
    if not spec.accepts(shape) or 0 in shape:
        raise invalid(f"{what}: shape {list(shape)} was sent, {list(spec.shape)} is expected.", model.expected())
    if model.batches and shape[0] > model.rows_limit:
        raise invalid(f"{what}: {shape[0]} rows were sent, at most {model.rows_limit} are served.", model.expected())


def shaped(array: Array, shape: tuple[int, ...]) -> Array:
    """A flat array in its shape, or an array that has it already."""
    if array.ndim == 1 and array.size == math.prod(shape):
        return array.reshape(shape)
    if array.shape != shape:
        raise TensorError(f"the data has shape {list(array.shape)}, the request says {list(shape)}")
    return array


class WithParameters(Protocol):
    """What may carry parameters of the Open Inference Protocol."""

    parameters: dict[str, Any]


def refuse_binary(parts: Sequence[WithParameters]) -> None:
    """Only JSON tensors are served: a parameter may say that there is no binary data, and nothing else."""
    for part in parts:
        for name, value in part.parameters.items():
            if name not in ("binary_data", "binary_data_output") or value is not False:
                raise invalid(f"The parameter {name}={value!r} is not served: send and take JSON tensors.")


def outputs_json(result: Result, wanted: tuple[str, ...] = ()) -> bytes:
    """`{output name: nested lists}`."""
    return dumps({name: array for name, (_, array) in result.outputs.items() if not wanted or name in wanted})


def predict_body(prediction_id: str, model: Model, result: Result, outputs: bytes) -> bytes:
    """The answer of /v1; `outputs` is from outputs_json, encoded once for the answer and for the record."""
    head = orjson.dumps({"id": prediction_id, "model": model.name, "version": result.version})
    return head[:-1] + b',"outputs":' + outputs + b"}"


def infer_body(prediction_id: str, model: Model, result: Result, tensors: Tensors) -> bytes:
    """The answer of /v2: flat data, row-major."""
    outputs = [
        {"name": name, "datatype": datatype, "shape": array.shape, "data": array.reshape(-1)}
        for name, (datatype, array) in result.outputs.items()
        if not tensors.outputs or name in tensors.outputs
    ]
    return dumps(
        {
            "model_name": model.name,
            "model_version": result.version,
            "id": tensors.client_id or prediction_id,
            "outputs": outputs,
        }
    )


def dumps(document: Any) -> bytes:
    """JSON with numpy arrays in it; what orjson does not know itself (arrays of strings) as lists."""
    return orjson.dumps(document, default=_as_list, option=orjson.OPT_SERIALIZE_NUMPY)


def _as_list(value: Any) -> Any:
    return value.tolist()


PREDICT: Codec = PredictCodec()
INFER: Codec = InferCodec()
