"""Whether an account may make a folder in a cloud and build a stage in it, by the roles that it has there."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from rehearsal.cloud.bootstrap import STAGE_ROLES
from rehearsal.cloud.roles import permissions
from stagecraft.stages import Refused

OWNER = "resource-manager.clouds.owner"
ROLES, GROUPS, ACCOUNT = "the roles on ", "groups", "the account's roles"


def missing(held: Iterable[str]) -> list[str]:
    """The roles that building a stage takes, and that these do not contain."""
    roles = set(held)
    if OWNER in roles:
        return []
    allowed = [permission for role in roles for permission in permissions(role)]
    return [role for role in STAGE_ROLES if not contained(role, allowed)]


def contained(role: str, allowed: Iterable[tuple[str, frozenset[str]]]) -> bool:
    """Whether all that a role lets its holder do is among what is allowed."""
    there = list(allowed)
    for pattern, verbs in permissions(role):
        if verbs - frozenset().union(*(more for wider, more in there if fnmatchcase(pattern, wider))):
            return False
    return True


def refuse_without(cloud: str, account: str, bindings: list[list[str]], unread: dict[str, str]) -> None:
    """Raises Refused where the account surely lacks roles on the cloud. What cannot be known adds a line to `unread`."""
    if not account:
        unread[ACCOUNT] = "these credentials do not say whose they are"
        return
    lacking = missing(role for role, _, subject in bindings if subject == account)
    if not lacking:
        return
    unseen = [what for what in unread if what.startswith(ROLES)]
    unseen += sorted({role for role, _, subject in bindings if subject == account and not permissions(role)})
    if any(kind == "group" for _, kind, _ in bindings):
        unseen.append(GROUPS)
    if unseen:
        unread[ACCOUNT] = f"of its own it lacks {', '.join(lacking)}, and it may have them by {' and '.join(unseen)}"
        return
    raise Refused(
        f"The account {account} may not build in a folder of its own in the cloud {cloud}. Nothing was touched."
        f"\n  it lacks, on the cloud: {', '.join(lacking)}"
        "\n  `admin` has them all: yc resource-manager cloud add-access-binding"
        f" {cloud} --role admin --service-account-id {account}"
    )
