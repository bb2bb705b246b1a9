"""One version of a model in ONNX Runtime: what it takes and gives, and calls of it off the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it is read at the import; else its maker is told of every model

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from inference_api import problems
from inference_api.models import Model, Result, Tensors, TensorSpec
from inference_api.settings import Settings
from inference_api.tensors import from_raw

DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class NoModelError(Exception):
    """The bytes are not a model that can be served; the message says why, in one line."""


class Session:
    """A loaded version. Its threads are its own: a slow model keeps no other one waiting."""

    def __init__(self, version: str, data: bytes, settings: Settings) -> None:
        """Load it, which takes as long as the model is large; NoModelError."""
        self.version = version
        self._limit = settings.time_limit_seconds
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.onnxruntime_threads
        options.inter_op_num_threads = 1
        # idle threads leave the cores to others
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what goes wrong is raised, and logged once by us
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base
            raise NoModelError(f"ONNX Runtime cannot load it: {' '.join(str(error).split())}") from error
        inputs, outputs = _specs(self._session.get_inputs()), _specs(self._session.get_outputs())
        # where every tensor leaves its first dimension open, that counts rows
        self.batches = all(spec.shape[:1] == (-1,) for spec in (*inputs, *outputs))
        self._bare = 1 if self.batches else 0  # the dimensions of a tensor whose entries have none
        self._ranks = [len(spec.shape) for spec in inputs]
        self.inputs, self.outputs = self._as_shown(inputs), self._as_shown(outputs)
        self._names = [spec.name for spec in self.outputs]
        self._threads = ThreadPoolExecutor(settings.onnxruntime_calls_limit, f"onnxruntime-{version}")

    def _as_shown(self, specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        """As Triton shows them: it knows no entries without a dimension, and gives those one of size 1."""
        return tuple(replace(spec, shape=(*spec.shape, 1)) if len(spec.shape) == self._bare else spec for spec in specs)

    async def infer(self, model: Model, requests: Sequence[Tensors]) -> Result:
        """See Engine.infer. A call that takes longer than the time limit is ended inside the model."""
        loop = asyncio.get_running_loop()
        options = onnxruntime.RunOptions()
        ended = False

        def end() -> None:
            nonlocal ended
            ended = options.terminate = True

        watch = loop.call_later(self._limit, end)
        try:
            arrays = await loop.run_in_executor(self._threads, self._run, model, requests, options)
        except states.InvalidArgument as error:
            raise problems.invalid(_words(error), model.expected()) from error
        except Exception as error:  # see above
            if ended:
                raise problems.timed_out(self._limit) from error
            raise problems.model_failed(_words(error)) from error
        finally:
            watch.cancel()
        shown = [array.reshape(*array.shape, 1) if array.ndim == self._bare else array for array in arrays]
        outputs = zip(self.outputs, shown, strict=True)
        return Result(self.version, {spec.name: (spec.datatype, array) for spec, array in outputs})

    def _run(self, model: Model, requests: Sequence[Tensors], options: Any) -> Any:
        feeds = {}
        for position, spec in enumerate(model.inputs):
            shape = requests[0].shapes[position]
            if model.batches:
                shape = (sum(request.rows for request in requests), *shape[1:])
            raw = b"".join(request.raw[position] for request in requests)
            feeds[spec.name] = from_raw(raw, spec.datatype, shape[: self._ranks[position]])
        return self._session.run(self._names, feeds, options)


def _specs(nodes: Any) -> tuple[TensorSpec, ...]:
    return tuple(_spec(node) for node in nodes)


def _spec(node: Any) -> TensorSpec:
    datatype = DATATYPES.get(node.type)
    if datatype is None:
        raise NoModelError(f"{node.name} is a {node.type}, which has no JSON form: export it as a tensor")
    return TensorSpec(node.name, datatype, tuple(size if isinstance(size, int) else -1 for size in node.shape))


def _words(error: Exception) -> str:
    """The part of ONNX Runtime's message that a client can use, in one line."""
    return " ".join(str(error).rpartition(" : ")[2].split())
