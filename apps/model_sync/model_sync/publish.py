"""Upload models: files first, the manifest last. What is published is never changed.

Who builds a model again may get other bytes, by another library or processor. Where the manifests say that it is of the same
source, the published version stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_sync.errors import SyncError
from model_sync.manifest import MANIFEST, Models, Version, in_order, measure, parse
from model_sync.store import Store


def publish(folder: Path, store: Store, *, check: bool) -> dict[str, Any]:
    """Publish every version in `folder` that is not published yet; returns the report, in which `kept` are those that are
    published with other bytes of the same source, and `versions` are all that are there then.

    SyncError, before anything is uploaded, when a local file is not what the local manifest says, or when a published
    version would change.
    """
    local = _local(folder)
    published = store.manifest() or {}
    added, kept = {}, {}
    for model, versions in local.items():
        known = published.get(model, {})
        if numbers := in_order(versions.keys() - known.keys()):
            added[model] = numbers
        if numbers := _other_bytes(store, model, versions, known):
            kept[model] = numbers
    if added and not check:
        merged: Models = {model: dict(versions) for model, versions in published.items()}
        for model, numbers in added.items():
            for number in numbers:
                for name in local[model][number].files:
                    store.put(f"{model}/{number}/{name}", folder / model / number / name)
                merged.setdefault(model, {})[number] = local[model][number]
        store.put_manifest(merged)
    numbers_of = {
        model: in_order(published.get(model, {}).keys() | local.get(model, {}).keys()) for model in published | local
    }
    return {"changed": bool(added), "added": added, "kept": kept, "versions": numbers_of}


def _local(folder: Path) -> Models:
    """The models in `folder`, every file checked against the manifest beside them."""
    path = folder / MANIFEST
    try:
        models = parse(path.read_bytes(), str(path))
        for model, versions in models.items():
            for number, version in versions.items():
                for name, expected in version.files.items():
                    file = folder / model / number / name
                    if measure(file) != expected:
                        raise SyncError(f"{file} is not what {path} says. Build the model again.")
    except OSError as error:
        raise SyncError(f"{error.filename}: {error.strerror}. Build the model first.") from error
    return models


def _other_bytes(store: Store, model: str, versions: dict[str, Version], known: dict[str, Version]) -> list[str]:
    """The versions that are published with other bytes of the same source; SyncError for one of another source."""
    different = [n for n in in_order(versions) if n in known and known[n].files != versions[n].files]
    for number in different:
        source = known[number].source
        if not source or source != versions[number].source:
            raise SyncError(
                f"{store.url(f'{model}/{number}')} is published with other checksums, and never changes."
                f" Give the new model the next number, {max(map(int, known)) + 1},"
                f" and leave what {number} is made from as it was."
            )
    return different
