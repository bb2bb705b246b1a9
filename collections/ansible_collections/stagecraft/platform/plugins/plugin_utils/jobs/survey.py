"""What somebody may do in a cloud, and how much of everything it may have: asked, and nothing changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...module_utils.declaration import Fail
from ...module_utils.descriptors import methods, new
from ...module_utils.errors import ApiFail, NoService
from ...module_utils.session import Session
from ..connection import hidden

CLOUDS = "resourcemanager.v1.CloudService"
FOLDERS = "resourcemanager.v1.FolderService"
ORGANIZATIONS = "organizationmanager.v1.OrganizationService"
QUOTAS = "quotamanager.v1.QuotaLimitService"
WORKERS = 8
UNSEEN = ("PERMISSION_DENIED", "INVALID_ARGUMENT")  # how the cloud answers for what may not be seen


def run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    """`account`, the id of the service account that this runs as, empty where the credentials do not say it; `bindings`,
    rows of role, type and id of its subject, on the cloud and its organization; `quotas`, for each id of `quotas` its limit
    (None: not limited) and its usage; `folders`, the names of those in the cloud; and `unread`, what could not be asked for,
    with why.

    Raises Fail where there is no such cloud, or these credentials may not see it.
    """
    answers.hide(hidden(request["connection"]))
    session = Session.from_options(request["connection"])
    session.notice = answers.notice
    cloud = there(session, request["cloud"])
    unread: dict[str, str] = {}

    def bound(service: str, ident: str, what: str) -> list[list[str]]:
        found = listed(session, what, unread, service, "ListAccessBindings", resource_id=ident)
        return [[one.role_id, one.subject.type, one.subject.id] for one in found]

    bindings = bound(CLOUDS, cloud.id, "the roles on the cloud")
    if cloud.organization_id:
        bindings += bound(ORGANIZATIONS, cloud.organization_id, "the roles on its organization")
    return {
        "account": session.credentials.account,
        "bindings": bindings,
        "quotas": quotas(session, cloud.id, request["quotas"], unread),
        "folders": [one.name for one in listed(session, "the folders", unread, FOLDERS, cloud_id=cloud.id)],
        "unread": unread,
    }


def there(session: Session, cloud: str) -> Any:
    """The cloud of that id. Raises Fail."""
    try:
        found = session.call(CLOUDS, "Get", new(methods(CLOUDS)["Get"].input_type, cloud_id=cloud))
    except ApiFail as refused:
        if refused.code not in UNSEEN:
            raise
        found = None
    if found is None:
        raise Fail(
            f"there is no cloud {cloud} that these credentials ({session.credentials.source}) may see:"
            " `yc resource-manager cloud list` shows the ids of yours"
        )
    return found


def listed(
    session: Session, what: str, unread: dict[str, str], service: str, method: str = "List", **values: Any
) -> list[Any]:
    """All that a method lists; nothing, and a line in `unread`, where the cloud would not."""
    try:
        return list(session.pages(service, method, **values))
    except (ApiFail, NoService) as refused:
        unread[what] = getattr(refused, "code", "no endpoint")
        return []


def quotas(session: Session, cloud: str, wanted: list[str], unread: dict[str, str]) -> dict[str, list[float | None]]:
    """Limit and usage of each that the cloud tells; the others have a line in `unread`."""

    def one(quota: str) -> list[float | None] | str:
        whose = {"id": cloud, "type": "resource-manager.cloud"}
        asked = new(methods(QUOTAS)["Get"].input_type, resource=whose, quota_id=quota)
        try:
            told = session.call(QUOTAS, "Get", asked)
        except (ApiFail, NoService) as refused:
            return getattr(refused, "code", "no endpoint")
        if told is None:
            return "NOT_FOUND"
        return [told.limit.value if told.HasField("limit") else None, told.usage.value]

    found: dict[str, list[float | None]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for quota, told in zip(wanted, pool.map(one, wanted), strict=True):
            if isinstance(told, str):
                unread[f"the quota {quota}"] = told
            else:
                found[quota] = told
    return found
