"""A peer that speaks Triton's gRPC protocol and serves real linear models with numpy; also a command of its own.

`digits` takes rows of 64 numbers and has two versions; `pair` has two inputs; `words` takes and gives strings, `double` one
number a row; `image` does not batch. It refuses what Triton refuses, with the same codes.
"""

from __future__ import annotations

import argparse
import struct
import threading
import time
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

DTYPES = {"FP32": np.float32, "INT64": np.int64}
DIGITS = {
    version: np.random.default_rng(seed).normal(size=(64, 10)).astype(np.float32)
    for version, seed in (("1", 1), ("2", 2))
}
POISON = 666.0  # a first number at which the model fails, as a model's own code may


def digits(version: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Scores through softmax, and the best."""
    if (rows[:, 0] == POISON).any():
        raise ValueError("the model cannot take this")
    scores = rows @ DIGITS[version]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return {
        "label": scores.argmax(axis=1, keepdims=True).astype(np.int64),
        "probabilities": (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32),
    }


def pair(_version: str, left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """Sum of both inputs."""
    return {"sum": left + right}


def words(_version: str, texts: np.ndarray) -> dict[str, np.ndarray]:
    """Upper case."""
    return {"upper": np.vectorize(lambda text: text.decode().upper().encode(), otypes=[np.object_])(texts)}


def double(_version: str, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Twice the number."""
    return {"double": numbers * 2}


def image(_version: str, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of a picture."""
    return {"mean": pixels.mean(dtype=np.float32).reshape(1)}


# name: versions, inputs, outputs (name, datatype, shape), largest batch (0: does not batch), function
MODELS: dict[str, tuple[tuple[str, ...], list[Any], list[Any], int, Any]] = {
    "digits": (
        ("1", "2"),
        [("image", "FP32", (-1, 64))],
        [("label", "INT64", (-1, 1)), ("probabilities", "FP32", (-1, 10))],
        32,
        digits,
    ),
    "pair": (
        ("1",),
        [("left", "INT64", (-1, 2)), ("right", "INT64", (-1, 2))],
        [("sum", "INT64", (-1, 2))],
        8,
        pair,
    ),
    "words": (("1",), [("text", "BYTES", (-1, 1))], [("upper", "BYTES", (-1, 1))], 8, words),
    "double": (("1",), [("number", "INT64", (-1, 1))], [("double", "INT64", (-1, 1))], 8, double),
    "image": (("1",), [("pixels", "FP32", (4, 4))], [("mean", "FP32", (1,))], 0, image),
}


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
    """What tests may change while it runs: `delay` in seconds, `hidden` models, and what it counted."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.hidden: set[str] = set()
        self.calls: list[int] = []
        self._lock = threading.Lock()

    def _model(self, name: str, version: str, context: Any) -> tuple[str, Any]:
        if name not in MODELS or name in self.hidden:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")
        version = version or MODELS[name][0][-1]
        if version not in MODELS[name][0]:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' version {version}")
        return version, MODELS[name]

    def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    def RepositoryIndex(self, request: Any, context: Any) -> Any:
        answer = service_pb2.RepositoryIndexResponse()
        for name, model in MODELS.items():
            for version in model[0] if name not in self.hidden else ():
                answer.models.add(name=name, version=version, state="READY")
        return answer

    def ModelMetadata(self, request: Any, context: Any) -> Any:
        _, model = self._model(request.name, request.version, context)
        answer = service_pb2.ModelMetadataResponse(name=request.name, versions=model[0], platform="numpy")
        for field, tensors in ((answer.inputs, model[1]), (answer.outputs, model[2])):
            for name, datatype, shape in tensors:
                field.add(name=name, datatype=datatype, shape=shape)
        return answer

    def ModelConfig(self, request: Any, context: Any) -> Any:
        _, model = self._model(request.name, request.version, context)
        config = model_config_pb2.ModelConfig(name=request.name, max_batch_size=model[3])
        return service_pb2.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:
        version, (_, inputs, outputs, rows_limit, function) = self._model(
            request.model_name, request.model_version, context
        )
        time.sleep(self.delay)
        arrays = {
            tensor.name: decode(raw, tensor.datatype, tuple(tensor.shape))
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        rows = request.inputs[0].shape[0]
        with self._lock:
            self.calls.append(rows)
        if rows_limit and rows > rows_limit:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"inference request batch-size must be <= {rows_limit}")
        try:
            results = function(version, *(arrays[name] for name, _, _ in inputs))
        except ValueError as error:
            context.abort(grpc.StatusCode.INTERNAL, str(error))
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=version)
        for name, datatype, _ in outputs:
            answer.outputs.add(name=name, datatype=datatype, shape=results[name].shape)
            answer.raw_output_contents.append(encode(results[name]))
        return answer


def decode(raw: bytes, datatype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Raw tensor to array."""
    if datatype != "BYTES":
        return np.frombuffer(raw, DTYPES[datatype]).reshape(shape)
    texts, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        texts.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    array = np.empty(len(texts), np.object_)
    array[:] = texts
    return array.reshape(shape)


def encode(array: np.ndarray) -> bytes:
    """Array to raw tensor."""
    if array.dtype != np.object_:
        return array.tobytes()
    return b"".join(struct.pack("<I", len(text)) + text for text in array.flat)


def start(address: str, service: Service, certificate: Path | None, key: Path | None, ca: Path | None) -> grpc.Server:
    """Serve; with `ca` only clients whose certificate it signed."""
    # so_reuseport off: two peers on one port would hide each other's end
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    if certificate and key:
        pair_of_files = [(key.read_bytes(), certificate.read_bytes())]
        roots = ca.read_bytes() if ca else None
        credentials = grpc.ssl_server_credentials(pair_of_files, roots, require_client_auth=ca is not None)
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    server.start()
    return server


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1:8001")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--ca", type=Path)
    arguments = parser.parse_args()
    start(arguments.address, Service(), arguments.certificate, arguments.key, arguments.ca).wait_for_termination()


if __name__ == "__main__":
    main()
