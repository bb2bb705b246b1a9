"""What the engine serves: names, versions and shapes, read from the models themselves and never configured here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from inference_api.tensors import Array


@dataclass(frozen=True)
class TensorSpec:
    """One input or output; -1 in the shape stands for any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape fits."""
        return len(shape) == len(self.shape) and all(
            wanted in (-1, size) for wanted, size in zip(self.shape, shape, strict=True)
        )

    def document(self) -> dict[str, Any]:
        """As the Open Inference Protocol describes a tensor."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Model:
    """A model as its newest version is. `rows_limit` is its largest batch; 0 says that it does not batch."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    rows_limit: int

    @property
    def batches(self) -> bool:
        """Whether the first dimension of every tensor counts rows that may come from different requests."""
        return self.rows_limit > 0

    def of(self, version: str) -> Model:
        """The model as this version is; no version means the newest."""
        return self

    def expected(self) -> dict[str, Any]:
        """What a request must bring, for error messages."""
        return {"inputs": [spec.document() for spec in self.inputs]}

    def document(self) -> dict[str, Any]:
        """As the Open Inference Protocol describes a model."""
        return {
            "name": self.name,
            "versions": list(self.versions),
            "platform": self.platform,
            "inputs": [spec.document() for spec in self.inputs],
            "outputs": [spec.document() for spec in self.outputs],
        }


class Tensors(msgspec.Struct, frozen=True):
    """A request's inputs in the model's order, ready to be sent. `outputs` are the names asked for; empty means all."""

    rows: int
    shapes: tuple[tuple[int, ...], ...]
    raw: tuple[bytes, ...]
    outputs: tuple[str, ...] = ()
    client_id: str = ""

    @property
    def shapes_without_rows(self) -> tuple[tuple[int, ...], ...]:
        """What must be equal in requests that travel together."""
        return tuple(shape[1:] for shape in self.shapes)


class Result(msgspec.Struct, frozen=True):
    """What the model answered, and as which version."""

    version: str
    outputs: dict[str, tuple[str, Array]]

    def rows(self, start: int, stop: int) -> Result:
        """The part of a merged answer that belongs to one request."""
        return Result(
            self.version, {name: (datatype, array[start:stop]) for name, (datatype, array) in self.outputs.items()}
        )


Models = dict[str, Model]
