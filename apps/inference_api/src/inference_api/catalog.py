"""Models in a bucket as `model-sync publish` leaves them: a manifest, and `<model>/<version>/<file>` with its checksum."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from inference_api.objects import MissingObjectError, Objects, ObjectsError, TooLargeError
from inference_api.settings import MODEL_NAME

MANIFEST = "manifest.json"
MODEL = "model.onnx"
MANIFEST_LIMIT = 16 << 20  # bytes

Name = Annotated[str, msgspec.Meta(pattern=f"^{MODEL_NAME}$")]
Number = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,8}$")]


class File(msgspec.Struct, frozen=True):
    """What one file must be. `size` is in bytes."""

    sha256: str
    size: int


class _Version(msgspec.Struct):
    files: dict[str, File]


class _Model(msgspec.Struct):
    versions: dict[Number, _Version]


class _Manifest(msgspec.Struct):
    models: dict[Name, _Model]


Published = dict[str, dict[str, File | None]]  # model to version to its ONNX file, None where it has none
_decode = msgspec.json.Decoder(_Manifest).decode


class BadVersionError(Exception):
    """A published version is not what the manifest says; the message says what and where."""


class Catalog:
    """Reads what is published."""

    errors: tuple[type[Exception], ...] = (ObjectsError,)

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def published(self) -> Published:
        """Every model's versions, the newest last; ObjectsError."""
        data = await self._objects.get(MANIFEST, MANIFEST_LIMIT)
        try:
            models = _decode(data).models
        except msgspec.DecodeError as error:
            raise ObjectsError(
                f"{self._objects.url(MANIFEST)} is not a manifest: {error}: publish the models again"
            ) from error
        return {
            name: {number: model.versions[number].files.get(MODEL) for number in sorted(model.versions, key=int)}
            for name, model in models.items()
        }

    async def read(self, model: str, version: str, expected: File | None) -> bytes:
        """The version's ONNX file; BadVersionError when it is not as published, ObjectsError while the bucket is away."""
        key = f"{model}/{version}/{MODEL}"
        where = self._objects.url(key)
        if expected is None:
            raise BadVersionError(f"the manifest names no {MODEL} for it")
        try:
            data = await self._objects.get(key, expected.size)
        except MissingObjectError as error:
            raise BadVersionError(f"{where} is missing, though the manifest names it") from error
        except TooLargeError as error:
            raise BadVersionError(str(error)) from error
        if len(data) != expected.size:
            raise BadVersionError(f"{where} has {len(data)} bytes, the manifest says {expected.size}")
        if (found := hashlib.sha256(data).hexdigest()) != expected.sha256:
            raise BadVersionError(f"{where} has SHA-256 {found}, the manifest says {expected.sha256}")
        return data
