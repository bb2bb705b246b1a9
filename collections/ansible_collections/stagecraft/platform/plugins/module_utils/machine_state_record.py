"""The file in which a machine's state is kept: only root reads it, because it has checksums of secrets."""

from __future__ import annotations

import json

from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_apply import replace
from ansible_collections.stagecraft.platform.plugins.module_utils.config_tree_paths import Walker
from ansible_collections.stagecraft.platform.plugins.module_utils.machine_state import Record

VERSION = 1


class Damaged(Exception):
    """A sentence for the person who runs the play: which file, what is wrong, what to do."""


def load(path: str) -> Record | None:
    """The record; None where there is none. Raises Damaged for what is no record."""
    try:
        with open(path) as file:
            kept = json.load(file)
        if kept["version"] != VERSION:
            raise ValueError(f"its version is {kept['version']}, not {VERSION}")
        already = {tuple(key): at for key, at in kept["kept"]}
        return Record(kept["written"], kept["things"], already, kept.get("inputs", ""))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(
            f"{path} is no record of this machine's state ({error!r}): the next apply writes a new one"
        ) from error


def save(path: str, record: Record) -> None:
    """Write the record at once, so that there is always a whole one. Raises TreeError where it may not be there."""
    spot = Walker().locate(path, create=True)
    assert spot.folder is not None
    content = {"version": VERSION, **vars(record), "kept": [*record.kept.items()]}
    replace(spot.folder, spot.name, json.dumps(content).encode())
