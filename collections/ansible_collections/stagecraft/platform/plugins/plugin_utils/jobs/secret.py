"""The entries of a Lockbox secret, asked of the cloud once in the life of this process."""

from __future__ import annotations

import json
import threading
from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.session import Session
from ..connection import hidden

SERVICE = "lockbox.v1.SecretService"

_lock = threading.Lock()
_sessions: dict[str, Session] = {}
_found: dict[tuple[str, str], dict[str, str]] = {}


def run(request: dict[str, Any], answers: Any) -> dict[str, str] | None:
    """Text entries by key; None where there is no such secret and `on_missing` is `none`."""
    answers.hide(hidden(request["connection"]))
    name, place = request["secret"], json.dumps(request["connection"], sort_keys=True)
    with _lock:  # many hosts want the same one at once
        if place not in _sessions:
            _sessions[place] = Session.from_options(request["connection"])
        session = _sessions[place]
        session.notice = answers.notice  # of this request, for as long as the lock is held
        if request["fresh"] or (place, name) not in _found:
            entries = read(session, name)
            if entries is None:
                if request["on_missing"] == "none":
                    return None
                raise Fail(
                    f"there is no secret {name} in folder {session.folder}: declare it (lockbox_secret), or create it"
                )
            if request["fresh"]:
                return entries
            _found[place, name] = entries
        return _found[place, name]


def read(session: Session, name: str) -> dict[str, str] | None:
    """Entries of the secret with this name or id."""
    rows = session.pages(SERVICE, folder_id=session.need_folder(), page_size=1000)
    secret = next((row for row in rows if name in (row.name, row.id)), None)
    return None if secret is None else session.payload(secret.id)
