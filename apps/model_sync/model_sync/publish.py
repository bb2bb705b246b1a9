"""Upload models: files first, the manifest last. What is published is never changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_sync.errors import SyncError
from model_sync.manifest import MANIFEST, Models, in_order, measure, parse
from model_sync.store import Store


def publish(folder: Path, store: Store, *, check: bool) -> dict[str, Any]:
    """Publish every version in `folder` that is not published yet; returns the report.

    SyncError, before anything is uploaded, when a local file is not what the local manifest says, or when a published
    version would change.
    """
    local = _local(folder)
    published = store.manifest() or {}
    added = {model: in_order(_new(store, model, versions, published)) for model, versions in local.items()}
    added = {model: numbers for model, numbers in added.items() if numbers}
    if added and not check:
        merged: Models = {model: dict(versions) for model, versions in published.items()}
        for model, numbers in added.items():
            for number in numbers:
                for name in local[model][number]:
                    store.put(f"{model}/{number}/{name}", folder / model / number / name)
                merged.setdefault(model, {})[number] = local[model][number]
        store.put_manifest(merged)
    return {"changed": bool(added), "added": added}


def _local(folder: Path) -> Models:
    """The models in `folder`, every file checked against the manifest beside them."""
    path = folder / MANIFEST
    try:
        models = parse(path.read_bytes(), str(path))
        for model, versions in models.items():
            for number, files in versions.items():
                for name, expected in files.items():
                    file = folder / model / number / name
                    if measure(file) != expected:
                        raise SyncError(f"{file} is not what {path} says. Build the model again.")
    except OSError as error:
        raise SyncError(f"{error.filename}: {error.strerror}. Build the model first.") from error
    return models


def _new(store: Store, model: str, versions: dict[str, Any], published: Models) -> list[str]:
    """The versions that are not published; SyncError for one that is, with other files."""
    known = published.get(model, {})
    for number in in_order(versions):
        if number in known and known[number] != versions[number]:
            raise SyncError(
                f"{store.url(f'{model}/{number}')} is published with other checksums, and never changes."
                f" Give the new model the next number, {max(map(int, known)) + 1}."
            )
    return [number for number in versions if number not in known]
