"""Triton's model repository on disk: <model>/config.pbtxt and <model>/<version>/<file>, changed by renames only.

A model's config.pbtxt names exactly the versions that Triton serves; replacing it is what commits a change.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from model_sync.errors import SyncError
from model_sync.manifest import Version, in_order, measure

CONFIG = "config.pbtxt"


class Repository:
    """The folder that Triton reads, and a staging folder beside it on the same file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._staging = root.parent / "staging"

    def models(self) -> list[str]:
        """The models that have a folder."""
        return sorted(entry.name for entry in self.root.iterdir() if entry.is_dir())

    def versions(self, model: str) -> set[str]:
        """The versions of a model on disk, whole or not."""
        folder = self.root / model
        return {entry.name for entry in folder.iterdir() if entry.name.isdigit()} if folder.is_dir() else set()

    def holds(self, model: str, number: str, version: Version) -> bool:
        """Whether a version lies here with exactly these files and checksums."""
        folder = self.root / model / number
        try:
            present = {entry.name: measure(entry) for entry in folder.iterdir()}
        except OSError:
            return False
        return present == version.files

    def config(self, model: str) -> str | None:
        """The configuration that Triton reads, or None."""
        path = self.root / model / CONFIG
        return path.read_text() if path.is_file() else None

    def write_config(self, model: str, text: str | None) -> None:
        """Replace a model's configuration in one step, or remove it."""
        path = self.root / model / CONFIG
        if text is None:
            path.unlink(missing_ok=True)
            return
        new = self.stage(model, "config") / CONFIG
        new.parent.mkdir(parents=True)
        new.write_text(text)
        path.parent.mkdir(exist_ok=True)
        new.replace(path)
        _sync_folder(path.parent)

    def clean_staging(self) -> None:
        """Forget what an interrupted run left."""
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(mode=0o700)

    def stage(self, model: str, number: str) -> Path:
        """Where a version is put together before it is installed; the folder does not exist yet."""
        path = self._staging / model / number
        shutil.rmtree(path, ignore_errors=True)
        return path

    def install(self, model: str, number: str) -> None:
        """Rename a staged version into place; one with the same number goes to the staging folder, for put_back."""
        target = self.root / model / number
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            old = self._replaced(model, number)
            old.parent.mkdir(parents=True, exist_ok=True)
            target.rename(old)
        (self._staging / model / number).rename(target)
        _sync_folder(target.parent)

    def put_back(self, model: str, number: str) -> None:
        """Undo install."""
        self.remove_version(model, number)
        old = self._replaced(model, number)
        if old.exists():
            old.rename(self.root / model / number)

    def remove_version(self, model: str, number: str) -> None:
        """Remove a version that Triton no longer serves."""
        self._discard(self.root / model / number)

    def remove_model(self, model: str) -> None:
        """Remove a model that Triton has unloaded."""
        self._discard(self.root / model)

    def _replaced(self, model: str, number: str) -> Path:
        return self._staging / "replaced" / model / number

    def _discard(self, path: Path) -> None:
        """Rename away first, so that a half-removed folder is never in the repository."""
        grave = self._staging / "removed" / path.name
        shutil.rmtree(grave, ignore_errors=True)
        grave.parent.mkdir(parents=True, exist_ok=True)
        path.rename(grave)
        shutil.rmtree(grave)


def with_versions(base: str, numbers: set[str]) -> str:
    """A model's configuration that serves exactly these versions; SyncError where `base` chooses versions itself."""
    if "version_policy" in base:
        raise SyncError(
            "The model's configuration has a version_policy of its own: leave it out, model-sync writes it."
        )
    return f"{base.rstrip()}\nversion_policy {{ specific {{ versions: [{', '.join(in_order(numbers))}] }} }}\n"


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
