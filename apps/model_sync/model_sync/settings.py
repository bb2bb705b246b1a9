"""The configuration file of `model-sync pull`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_sync.errors import SyncError
from model_sync.store import REGION, Address

ALL = "all"


@dataclass(frozen=True)
class Wanted:
    """A model to serve: its versions, or None for all that are published; its configuration's path."""

    versions: frozenset[str] | None
    config: Path


@dataclass(frozen=True)
class Settings:
    """What pull needs to know. `timeout` is in seconds."""

    store: Address
    repository: Path
    triton_url: str
    timeout: float
    models: dict[str, Wanted]


def read(path: Path) -> Settings:
    """The settings in `path`; SyncError names what is wrong in it."""
    try:
        raw = json.loads(path.read_text())
        store = raw["store"]
        return Settings(
            store=Address(
                bucket=store["bucket"],
                prefix=store["prefix"],
                endpoint=store["endpoint"],
                region=store.get("region", REGION),
                ca_bundle=store.get("ca_bundle"),
            ),
            repository=Path(raw["repository"]),
            triton_url=raw["triton"]["url"],
            timeout=float(raw["triton"]["timeout"]),
            models={name: _wanted(name, entry) for name, entry in raw["models"].items()},
        )
    except OSError as error:
        raise SyncError(f"{path}: {error.strerror}. Give the configuration with --config.") from error
    except KeyError as error:
        raise SyncError(f"{path}: the key {error} is missing.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise SyncError(f"{path}: {error}") from error


def _wanted(name: str, entry: dict[str, Any]) -> Wanted:
    versions = entry["versions"]
    if versions != ALL and not (isinstance(versions, list) and versions):
        raise ValueError(f"models.{name}.versions is {versions!r}: give {ALL!r} or a list of versions")
    chosen = None if versions == ALL else frozenset(str(version) for version in versions)
    return Wanted(chosen, Path(entry["config"]))
