"""A folder of a cloud, made and deleted by its name: whoever was interrupted between the two finds it again."""

from __future__ import annotations

import time
from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.descriptors import methods, new
from ...module_utils.session import Session, pauses
from ..connection import hidden

FOLDERS = "resourcemanager.v1.FolderService"
AGO = 60  # seconds by which this machine's clock may be ahead of the cloud's


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """Bring the folder of that name to a state, `present`, `absent`, or `info` for neither; its `id`, empty where there is
    none. What is deleted is gone when this returns. Raises Fail.
    """
    answers.hide(hidden(request["connection"]))
    session = Session.from_options(request["connection"])
    session.notice = answers.notice
    cloud, name, state = request["cloud"], request["name"], request["state"]
    ident = find(session, cloud, name)
    if state == "present" and not ident:
        values = {"name": name, "cloud_id": cloud, "description": request.get("description", "")}
        session.call(FOLDERS, "Create", new(methods(FOLDERS)["Create"].input_type, **values))
        ident = find(session, cloud, name)
    if state == "absent" and ident:
        delete(session, cloud, name, ident)
        ident = ""
    return {"id": ident}


def find(session: Session, cloud: str, name: str) -> str:
    """The id of the folder of that name; empty where there is none."""
    found = session.pages(FOLDERS, cloud_id=cloud, filter=f'name="{name}"')
    return next((folder.id for folder in found if folder.name == name), "")


def delete(session: Session, cloud: str, name: str, ident: str) -> None:
    """Delete a folder at once, and wait until the cloud lists it no longer. Raises Fail where it stays."""
    request = new(methods(FOLDERS)["Delete"].input_type, folder_id=ident)
    request.delete_after.FromSeconds(int(time.time()) - AGO)
    session.call(FOLDERS, "Delete", request)
    for _ in pauses(session.timeout):
        if not find(session, cloud, name):
            return
    raise Fail(f"the folder {name} was deleted {session.timeout:.0f} s ago and is still listed")
