"""Bring the serving machine's models to what is wanted: plan, download and check, then switch model by model."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from model_sync.errors import SyncError
from model_sync.manifest import Models, Version, in_order
from model_sync.repository import Repository, with_versions
from model_sync.settings import Settings, Wanted
from model_sync.store import Store
from model_sync.triton import Triton, TritonRefused


@dataclass
class Change:
    """What one model needs. Nothing set means that it is as wanted."""

    model: str
    wanted: dict[str, Version]
    config: str  # the configuration that serves exactly the wanted versions
    download: list[str] = field(default_factory=list)  # versions that are absent, or not what is published
    remove: list[str] = field(default_factory=list)  # versions on disk that are no longer wanted
    load: bool = False  # Triton has to be told

    def __bool__(self) -> bool:
        return bool(self.download or self.remove or self.load)

    def report(self) -> dict[str, Any]:
        """For the JSON that says what changed."""
        return {
            "downloaded": self.download,
            "removed": self.remove,
            "loaded": self.load,
            "serving": in_order(self.wanted),
        }


def pull(settings: Settings, *, check: bool) -> dict[str, Any]:
    """Converge, or with `check` only say what would change. Returns the report; on SyncError the old state serves."""
    repository = Repository(settings.repository)
    triton = Triton(settings.triton_url, settings.timeout)
    store = Store(settings.store)
    with _lock(settings):
        if not check:
            triton.wait_live()
        published = _published(store)
        changes = [
            _plan(repository, triton, name, wanted, _chosen(store, published, name, wanted), check=check)
            for name, wanted in settings.models.items()
        ]
        retired = [name for name in repository.models() if name not in settings.models]
        if not check:
            _download(store, repository, changes)
            for change in filter(None, changes):
                _switch(repository, triton, change)
            for model in retired:
                _retire(repository, triton, model)
    return {
        "changed": bool(retired) or any(changes),
        "models": {change.model: change.report() for change in changes},
        "retired": retired,
    }


def _published(store: Store) -> Models:
    models = store.manifest()
    if models is None:
        raise SyncError(f"{store.url()} has no manifest: nothing is published there. Run model-sync publish first.")
    return models


def _chosen(store: Store, models: Models, model: str, wanted: Wanted) -> dict[str, Version]:
    """The files of every wanted version as the bucket's manifest names them."""
    if model not in models:
        known = ", ".join(sorted(models)) or "none"
        raise SyncError(f"{store.url()} has no model {model}; published are: {known}.")
    versions = models[model]
    if wanted.versions is None:
        return versions
    if missing := wanted.versions - versions.keys():
        raise SyncError(
            f"{store.url(model)} has no version {', '.join(sorted(missing))};"
            f" published are: {', '.join(in_order(versions)) or 'none'}."
        )
    return {number: versions[number] for number in wanted.versions}


def _plan(
    repository: Repository, triton: Triton, model: str, wanted: Wanted, published: dict[str, Version], *, check: bool
) -> Change:
    try:
        base = wanted.config.read_text()
    except OSError as error:
        raise SyncError(f"{wanted.config}: {error.strerror}: the configuration of {model}.") from error
    change = Change(model, published, with_versions(base, set(published)))
    change.download = in_order({n for n, version in published.items() if not repository.holds(model, n, version)})
    change.remove = in_order(repository.versions(model) - published.keys())
    try:
        serving = triton.ready(model)
    except TritonRefused:
        raise
    except SyncError:
        if not check:
            raise
        serving = set()  # a server that is down will be started, and then has to be told
    change.load = bool(change.download) or repository.config(model) != change.config or serving != published.keys()
    return change


def _download(store: Store, repository: Repository, changes: list[Change]) -> None:
    """Stage everything before anything is switched: a bad object leaves all models as they are."""
    repository.clean_staging()
    for change in changes:
        for number in change.download:
            folder = repository.stage(change.model, number)
            store.download_version(change.model, number, change.wanted[number], folder)


def _switch(repository: Repository, triton: Triton, change: Change) -> None:
    """Install, commit, load; put everything back when Triton refuses. Removes what is not wanted at the very end."""
    model, old_config = change.model, repository.config(change.model)
    for number in change.download:
        repository.install(model, number)
    if change.load:
        repository.write_config(model, change.config)
        try:
            triton.load(model)
            triton.wait_ready(model, set(change.wanted))
        except SyncError as error:
            _undo(repository, triton, change, old_config)
            raise SyncError(f"{model}: the change was undone, what served before still serves. {error}") from error
    if change.remove:
        triton.wait_gone(model, set(change.remove))
        for number in change.remove:
            repository.remove_version(model, number)


def _undo(repository: Repository, triton: Triton, change: Change, old_config: str | None) -> None:
    for number in change.download:
        repository.put_back(change.model, number)
    repository.write_config(change.model, old_config)
    if old_config is None:
        repository.remove_model(change.model)
    else:
        with suppress(SyncError):  # the first error is the one to tell; Triton reads the disk when it starts again
            triton.load(change.model)


def _retire(repository: Repository, triton: Triton, model: str) -> None:
    """A model that is no longer configured."""
    serving = set(triton.states().get(model, {}))
    if serving:
        triton.unload(model)
        triton.wait_gone(model, serving)
    repository.remove_model(model)


@contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    """One run at a time: the timer and an administrator may meet."""
    try:
        handle = (settings.repository.parent / "lock").open("w")
    except OSError as error:
        raise SyncError(f"{error.filename}: {error.strerror}. Run as the user that owns the repository.") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
