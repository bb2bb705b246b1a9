"""Everything in a folder that a stage could own, asked of every service."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.protobuf.message import Message

from ...module_utils.protobuf import methods, new
from ...module_utils.session import Session
from ..connection import hidden

# kind, as yc_stack calls it -> the service that lists it
SERVICES = {
    "compute_disk": "compute.v1.DiskService",
    "compute_image": "compute.v1.ImageService",
    "compute_instance": "compute.v1.InstanceService",
    "compute_snapshot": "compute.v1.SnapshotService",
    "dns_zone": "dns.v1.DnsZoneService",
    "iam_service_account": "iam.v1.ServiceAccountService",
    "lockbox_secret": "lockbox.v1.SecretService",
    "postgresql_cluster": "mdb.postgresql.v1.ClusterService",
    "storage_bucket": "storage.v1.BucketService",
    "vpc_address": "vpc.v1.AddressService",
    "vpc_gateway": "vpc.v1.GatewayService",
    "vpc_network": "vpc.v1.NetworkService",
    "vpc_route_table": "vpc.v1.RouteTableService",
    "vpc_security_group": "vpc.v1.SecurityGroupService",
    "vpc_subnet": "vpc.v1.SubnetService",
}
FOLDERS = "resourcemanager.v1.FolderService"
ACCOUNTS = "iam.v1.ServiceAccountService"
PAGE = 1000  # the API's own limit
WORKERS = 8


def run(request: dict[str, Any], answers: Any) -> list[dict[str, Any]]:
    """What is in the folder, but for ids in `keep` and the service account that this runs as."""
    answers.hide(hidden(request["connection"]))
    session = Session.from_options(request["connection"])
    session.need_folder()
    own = session.credentials.arguments.get("service_account_key", {}).get("service_account_id")
    keep = {*request["keep"], own}
    return [row for row in contents(session) if row["id"] not in keep and row.pop("subject", "") not in keep]


def contents(session: Session) -> list[dict[str, Any]]:
    """Rows of kind, id, name and labels, sorted; bindings of service accounts have their `subject` too."""
    rows = resources(session)
    accounts = {row["id"]: row["name"] for row in rows if row["kind"] == "iam_service_account"}
    return sorted(rows + bindings(session, accounts), key=lambda row: (row["kind"], row["name"], row["id"]))


def resources(session: Session) -> list[dict[str, Any]]:
    """Rows of everything that is a resource of its own."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return [row for rows in pool.map(lambda item: listed(session, *item), SERVICES.items()) for row in rows]


def listed(session: Session, kind: str, service: str) -> list[dict[str, Any]]:
    """One service's resources, without a network's own security group, which comes and goes with it."""
    return [
        {
            "kind": kind,
            "id": getattr(row, "id", "") or row.name,
            "name": row.name,
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
