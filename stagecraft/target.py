"""Where a stage is acted on: the real cloud, or its rehearsal on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rehearsal import environment, places
from stagecraft import federation
from stagecraft.stages import Refused, Stage, unknown

CREDENTIALS = ("YC_SERVICE_ACCOUNT_KEY_FILE", "YC_IAM_TOKEN", "YC_TOKEN")


class Where(StrEnum):
    """What a person may say with --where."""

    REHEARSAL = "rehearsal"
    CLOUD = "cloud"


def where_of(text: str) -> Where:
    """Raises Refused with the nearest name for anything else: a slip must not mean the cloud."""
    there = [one.value for one in Where]
    if text not in there:
        raise unknown(text, there, "--where")
    return Where(text)


@dataclass(frozen=True)
class Target:
    """A stage, and the variables and network namespace in which its playbooks run."""

    stage: Stage
    rehearsed: bool
    variables: dict[str, str] = field(default_factory=dict)
    netns: Path | None = None

    @property
    def folder(self) -> Path:
        """What this controller keeps of the stage: SSH configuration, keys, logs."""
        return places.state() / self.stage.name

    @property
    def where(self) -> str:
        return "rehearsal" if self.rehearsed else "Yandex Cloud"

    def environment(self) -> dict[str, str]:
        """The whole environment of a playbook of this stage."""
        return {**os.environ, **self.variables, "STAGE": self.stage.name}

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the stage's network while the block runs: what it starts reaches what the stage reaches."""
        if self.netns is None:
            yield
            return
        with Path("/proc/thread-self/ns/net").open() as own, self.netns.open() as there:
            os.setns(there.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(own.fileno(), os.CLONE_NEWNET)


def rehearsal_of(stage: Stage) -> Target:
    """The target that is a rehearsal. Raises Refused where none is up."""
    if not environment.is_up(stage.name):
        raise Refused(f"No rehearsal of {stage.name} is up. Start one with `make rehearse STAGE={stage.name}`.")
    return Target(stage, True, environment.environment(stage.name), environment.netns(stage.name))


def ambiguous(stage: Stage, why: str) -> Refused:
    """What to raise where a rehearsal is up and something else may be meant."""
    return Refused(
        f"{stage.name} is being rehearsed, but {why}. Say which is meant: --where rehearsal or --where cloud."
    )


def target_of(stage: Stage, where: Where | None = None) -> Target:
    """The target that a person means: `where` if given; else the rehearsal if one is up; else the cloud.

    Raises Refused where both could be meant, and where there is neither a rehearsal nor credentials.
    """
    up, keys = environment.is_up(stage.name), [name for name in CREDENTIALS if os.environ.get(name)]
    credentials = keys or federation.given()
    if where is None and up and credentials:
        raise ambiguous(stage, f"{credentials[0]} points at the real cloud")
    if where is Where.REHEARSAL or (where is None and up):
        found = rehearsal_of(stage)
        folder = os.environ.get("YC_FOLDER_ID") or found.variables["YC_FOLDER_ID"]
        if where is None and folder != found.variables["YC_FOLDER_ID"]:
            raise ambiguous(stage, f"YC_FOLDER_ID names another folder, {folder}")
        return found
    if not credentials and where is not Where.CLOUD:  # asked for the cloud, a machine's metadata service may have them
        raise Refused(
            f"Nothing to act on: no rehearsal of {stage.name} is up and no credentials are set."
            f" Rehearse it (`make rehearse STAGE={stage.name}`), or set YC_SERVICE_ACCOUNT_KEY_FILE and YC_FOLDER_ID"
            " (with a machine's own service account: --where cloud)."
        )
    return Target(stage, False, {} if keys else federation.credentials())
