"""Tensors between JSON lists, numpy arrays and Triton's raw bytes."""

from __future__ import annotations

import math
import struct
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

np.seterr(over="ignore")  # a number too large for its type is looked for below, and is the client's error

Array = NDArray[Any]

NUMPY_TYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}


class TensorError(ValueError):
    """The data is not such a tensor."""


def element_type(datatype: str) -> type:
    """What one element is in JSON."""
    if datatype in ("FP16", "FP32", "FP64"):
        return float
    return {"BOOL": bool, "BYTES": str}.get(datatype, int)


@cache
def _decoder(datatype: str, rank: int) -> msgspec.json.Decoder[Any]:
    kind: Any = element_type(datatype)
    for _ in range(rank):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def from_json(data: bytes | msgspec.Raw, datatype: str, ranks: tuple[int, int]) -> Array:
    """An array from JSON text whose lists are nested as deep as the first of `ranks`, or else as the second."""
    try:
        values = _decoder(datatype, ranks[0]).decode(data)
    except msgspec.DecodeError as first:
        try:
            values = _decoder(datatype, ranks[1]).decode(data)
        except msgspec.DecodeError as second:
            # the message that fits is that of the reading which came further: its path is longer
            raise TensorError(str(max(first, second, key=lambda error: str(error).count("[")))) from second
    return from_lists(values, datatype)


def from_lists(values: Any, datatype: str) -> Array:
    """An array from nested lists of the right elements; TensorError when ragged or out of the type's range."""
    try:
        array: Array = np.array(values, dtype=NUMPY_TYPES[datatype])
    except (ValueError, OverflowError) as error:
        raise TensorError(f"not a regular {datatype} tensor: {error}") from error
    if datatype == "BYTES" and not all(isinstance(value, str) for value in array.flat):
        raise TensorError("not a regular BYTES tensor: lists of different lengths")
    if array.dtype.kind == "f" and not _finite(array):
        raise TensorError(f"a number is too large for {datatype}")
    return array


def _finite(array: Array) -> bool:
    """Whether every number is: where their squares have a finite sum, which is the quicker question, they are."""
    flat = array.ravel()
    return math.isfinite(flat.dot(flat)) or bool(np.isfinite(array).all())


def to_raw(array: Array) -> bytes:
    """Triton's raw form: little endian, row-major; strings each after their length."""
    if array.dtype != np.object_:
        return array.tobytes()
    encoded = [text.encode() for text in array.flat]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def from_raw(raw: bytes, datatype: str, shape: tuple[int, ...]) -> Array:
    """The array behind Triton's raw bytes; TensorError when they do not fill the shape."""
    if datatype not in NUMPY_TYPES:
        raise TensorError(f"datatype {datatype} has no JSON form")
    if datatype != "BYTES":
        try:
            return np.frombuffer(raw, NUMPY_TYPES[datatype]).reshape(shape)
        except ValueError as error:
            raise TensorError(str(error)) from error
    texts, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        texts.append(raw[at + 4 : at + 4 + length].decode(errors="replace"))
        at += 4 + length
    if len(texts) != math.prod(shape):
        raise TensorError(f"{len(texts)} strings do not fill the shape {shape}")
    array: Array = np.empty(len(texts), np.object_)
    array[:] = texts
    return array.reshape(shape)
