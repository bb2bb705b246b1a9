"""Who may use the cloud's services: by roles on a service, by roles on the folder, or because it is open to everybody."""

from __future__ import annotations

from collections.abc import Iterator

from stagecraft.topology.model import INTERNET, Declared, Thing, Way, entries

HTTPS = "443"
# kind -> what a picture calls it; those beside machines and databases that somebody talks to
SERVICES = {
    "api_gateway": "API gateway",
    "serverless_container": "serverless container",
    "storage_bucket": "bucket",
    "containerregistry_registry": "container registry",
    "containerregistry_repository": "repository of images",
    "lockbox_secret": "secret",
    "kms_symmetric_key": "key",
    "logging_log_group": "log group",
}
DATABASE = "postgresql_cluster"
# The service that a role on the folder is for -> the kinds that it opens. Any other role is drawn to the folder itself.
FOLDER_ROLES = {
    "storage": ("storage_bucket",),
    "lockbox": ("lockbox_secret",),
    "kms": ("kms_symmetric_key",),
    "container-registry": ("containerregistry_registry",),
    "serverless-containers": ("serverless_container",),
    "serverless": ("serverless_container", "api_gateway"),
    "api-gateway": ("api_gateway",),
    "logging": ("logging_log_group",),
    "managed-postgresql": (DATABASE,),
    "mdb": (DATABASE,),
}
WHOLE = ("admin", "editor", "viewer", "auditor")  # roles for all services at once
FOLDER = Thing("the folder", "folder", "folder", ("all else that is in it",))  # no declaration's name has a space


def service_ways(declared: Declared, things: list[Thing]) -> tuple[list[Thing], list[Way]]:
    """The cloud's services, and who uses which by the roles of accounts: the machines and containers that act as them."""
    services = [
        Thing(f"{kind}/{name}", kind, name, (title,))
        for kind, title in SERVICES.items()
        for name in entries(declared, kind)
    ]
    actors = acting(declared)
    ways: dict[tuple[str, str], set[str]] = {}
    accounts: dict[str, Thing] = {}
    databases = [thing for thing in things if thing.kind == DATABASE]
    for account, role, target in (*granted(declared, services), *of_folder(declared, [*services, *databases])):
        for actor in actors.get(account) or [f"account/{account}"]:
            if actor.startswith("account/"):
                accounts[actor] = Thing(actor, "account", account, ("service account",))
            if actor != target:
                ways.setdefault((actor, target), set()).add(f"{HTTPS} {role}")
    for target, how in opened(declared, services):
        ways.setdefault((INTERNET, target), set()).add(" ".join(filter(None, (HTTPS, how))))
    drawn = [Way(*pair, tuple(sorted(how))) for pair, how in ways.items()]
    return [*accounts.values(), *services, FOLDER], drawn


def acting(declared: Declared) -> dict[str, list[str]]:
    """Service account -> the ids of what acts as it."""
    found: dict[str, list[str]] = {}
    for kind in ("compute_instance", "serverless_container", "api_gateway"):
        for name, one in entries(declared, kind).items():
            if account := one.get("service_account"):
                found.setdefault(account, []).append(name if kind == "compute_instance" else f"{kind}/{name}")
    return found


def granted(declared: Declared, services: list[Thing]) -> Iterator[tuple[str, str, str]]:
    """(account, role, id of a service) of what a service itself gives."""
    for service in services:
        own = entries(declared, service.kind)[service.label]
        for given in own.get("access") or []:
            if given.get("service_account"):
                yield given["service_account"], given["role"], service.id
        for grant in own.get("acl") or []:
            if grant.get("service_account"):
                yield grant["service_account"], grant["permission"], service.id


def of_folder(declared: Declared, services: list[Thing]) -> Iterator[tuple[str, str, str]]:
    """(account, role, id of a service) of what roles on the folder open: every one of the kinds that a role is for, and the
    folder where it opens more than what is drawn."""
    roles = [(one["service_account"], one["role"]) for one in entries(declared, "iam_folder_binding").values()]
    for one in entries(declared, "iam_folder_roles").values():
        roles += [(one["service_account"], role) for role in one.get("roles") or []]
    for account, role in roles:
        kinds = FOLDER_ROLES.get(role.partition(".")[0], ())
        targets = [service.id for service in services if role in WHOLE or service.kind in kinds]
        if role in WHOLE or not targets:
            targets.append(FOLDER.id)
        for target in targets:
            yield account, role, target


def opened(declared: Declared, services: list[Thing]) -> Iterator[tuple[str, str]]:
    """(id of a service, how) of what the internet may use."""
    for service in services:
        own = entries(declared, service.kind)[service.label]
        if service.kind == "api_gateway":
            yield service.id, ""
        for given in own.get("access") or []:
            if given.get("everybody"):
                yield service.id, given["role"]
        for grant in own.get("acl") or []:
            if not grant.get("service_account"):
                yield service.id, grant["permission"]
        for what, allowed in (own.get("anonymous_access") or {}).items():
            if allowed:
                yield service.id, f"anonymous {what}"
