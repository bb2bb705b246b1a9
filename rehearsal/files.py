"""Files of the state folder: written whole or not at all, and problems with them as one message with what to do."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from rehearsal import places
from rehearsal.world import WorldError

FULL = (errno.ENOSPC, errno.EDQUOT)


def private_folder(folder: Path) -> Path:
    """Make a folder, and those above it that are missing, for their owner only."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # says what is wrong where something else has that name
    return folder


def write(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Write a file, by default one that nobody else may read: a reader sees the old one or the new one, also where the
    disk gets full."""
    private_folder(path.parent)
    fresh = path.with_name(path.name + ".new")
    try:
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    fresh.replace(path)


def read_json(path: Path, name: str) -> Any:
    """What a file of the rehearsal `name` holds. Raises FileNotFoundError, and WorldError where it is damaged."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise WorldError(
            f"{path} is damaged ({error}). Remove this rehearsal, then start it again: make down STAGE={name}"
        ) from None


def explained(error: OSError) -> str:
    """A refusal of the machine as one message: what, where, what to do."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in FULL:
        return (
            f"{where}{error.strerror}. Free some space and run the same again; `df -h {places.state()}` shows how much."
        )
    what = f"{where}{error.strerror or error}"
    inside = error.filename and Path(os.fsdecode(error.filename)).absolute()
    if inside and (inside.is_relative_to(places.state()) or places.state().is_relative_to(inside)):
        return (
            f"{what}. The state folder is {places.state()}: STAGECRAFT_STATE has to name a folder"
            " (or one that can be made) in which you may write."
        )
    return f"{what}."
