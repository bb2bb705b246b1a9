"""Everything in a folder that a stage could own, asked of every service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.protobuf.message import Message

from ...module_utils.descriptors import methods, new
from ...module_utils.errors import ApiFail, NoService
from ...module_utils.resources import ALL
from ...module_utils.services import SERVICES
from ...module_utils.session import Session
from ..connection import hidden

FOLDERS = "resourcemanager.v1.FolderService"
ACCOUNTS = "iam.v1.ServiceAccountService"
PAGE = 1000  # the API's own limit
WORKERS = 16
DECLARED = {resource.kind for resource in ALL}
# What a service answers that this installation of the cloud lacks, or that was never enabled for the folder.
ABSENT = ("UNIMPLEMENTED", "PERMISSION_DENIED", "FAILED_PRECONDITION", "NOT_FOUND")


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """`resources`: what is in the folder, but for ids in `keep` and the service account that this runs as; and
    `not_asked`: the kinds whose service would not answer, with why.
    """
    answers.hide(hidden(request["connection"]))
    session = Session.from_options(request["connection"])
    session.notice = answers.notice
    session.need_folder()
    keep = {*request["keep"], session.credentials.account}
    rows, not_asked = contents(session)
    left = [row for row in rows if row["id"] not in keep and row.pop("subject", "") not in keep]
    return {"resources": left, "not_asked": not_asked}


def contents(session: Session) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of kind, id, name and labels, sorted, where bindings of service accounts have their `subject` too; and the
    kinds that could not be asked for.
    """
    rows, not_asked = resources(session, SERVICES)
    accounts = {row["id"]: row["name"] for row in rows if row["kind"] == "iam_service_account"}
    rows += bindings(session, accounts)
    return sorted(rows, key=lambda row: (row["kind"], row["name"], row["id"])), not_asked


def resources(session: Session, kinds: Iterable[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of everything of these kinds that is a resource of its own, and why some could not be asked for.

    Raises Fail where a kind that can be declared is refused: that its service is absent would be no reason.
    """
    rows, not_asked = [], {}

    def one(kind: str) -> list[dict[str, Any]] | str:
        try:
            if kind not in DECLARED and session.lists_nothing(SERVICES[kind]):
                return []
            return listed(session, kind, SERVICES[kind])
        except NoService:
            return "no endpoint"
        except ApiFail as refused:
            if refused.code not in (ABSENT[:1] if kind in DECLARED else ABSENT):
                raise
            return refused.code

    kinds = list(kinds)
    with ThreadPoolExecutor(WORKERS) as pool:
        for kind, found in zip(kinds, pool.map(one, kinds), strict=True):
            if isinstance(found, str):
                not_asked[kind] = found
            else:
                rows += found
    return rows, not_asked


def listed(session: Session, kind: str, service: str) -> list[dict[str, Any]]:
    """One service's resources, without a network's own security group, which comes and goes with it."""
    return [
        {
            "kind": kind,
            "id": getattr(row, "id", "") or getattr(row, "name", ""),
            "name": getattr(row, "name", ""),
            "labels": dict(getattr(row, "labels", {})),
        }
        for row in pages(session, service)
        if not getattr(row, "default_for_network", False)
    ]


def pages(session: Session, service: str) -> Iterator[Message]:
    """Everything that a service lists in the folder, in pages as large as it gives."""
    sized = "page_size" in methods(service)["List"].input_type.fields_by_name
    return session.pages(service, folder_id=session.folder, **({"page_size": PAGE} if sized else {}))


def bindings(session: Session, accounts: dict[str, str]) -> list[dict[str, Any]]:
    """Roles on the folder of its own service accounts, and of accounts that no longer exist."""
    rows = []
    for binding in session.pages(FOLDERS, "ListAccessBindings", resource_id=session.folder):
        subject = binding.subject.id
        if binding.subject.type != "serviceAccount" or (subject not in accounts and exists(session, subject)):
            continue
        name = f"{accounts.get(subject, subject)}/{binding.role_id}"
        rows.append(
            {
                "kind": "iam_folder_binding",
                "id": f"{subject}/{binding.role_id}",
                "name": name,
                "labels": {},
                "subject": subject,
            }
        )
    return rows


def exists(session: Session, account: str) -> bool:
    """An account of another folder is somebody else's, and its roles here are not the stage's."""
    request = new(methods(ACCOUNTS)["Get"].input_type, service_account_id=account)
    return session.call(ACCOUNTS, "Get", request) is not None
