"""Who has which role on a resource itself: a list of its own, changed by deltas."""

from __future__ import annotations

from typing import Any

from .declaration import Fail
from .yandex import Field, Ref, Resource, Yandex

ACCOUNT = Resource("iam.v1.ServiceAccount")  # to refer to; yandex_iam declares it
SYSTEM = {"all_users": "allUsers", "all_authenticated_users": "allAuthenticatedUsers"}

ACCESS = Field(
    "access",
    "All roles that accounts and everybody have on it itself; what its folder gives holds beside them. What people and "
    "groups have is left alone.",
    virtual=True,
    many=True,
    fields=(
        Field("role", "The role, such as C(container-registry.images.puller).", required=True),
        Ref("service_account", ACCOUNT, "Name of the service account that has it.", "subject", gives=True),
        Field("everybody", "For everybody, or for everybody who is logged in.", "subject", choices=tuple(SYSTEM)),
    ),
)


class Shared(Yandex):
    """A resource with the option C(access)."""

    def bound_to(self) -> str:
        """The id that roles on it are bound to."""
        return self.id

    def examine(self, wanted: dict, have: dict) -> None:
        super().examine(wanted, have)
        if "access" in wanted:
            have["access"] = self.granted()

    def create(self, wanted: dict) -> None:
        whom(wanted)
        super().create(wanted)
        self.grant(wanted)

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        whom(wanted)
        if "access" in changed:
            self.grant(wanted)
        rest = [n for n in changed if n != "access"]
        if rest:
            super().update(wanted, rest, stop)
        else:
            self.look()

    # ---- for an export ----
    def closer(self, have: dict) -> dict[str, Any]:
        return super().closer(have) | {ACCESS.name: self.granted()}

    def beside(self) -> list[str]:
        rows = self.session.pages(self.service, "ListAccessBindings", resource_id=self.bound_to())
        return [f"{b.role_id} of {b.subject.type} {b.subject.id}" for b in rows if whose(b) is None]

    # ---- bindings ----
    def granted(self) -> list[dict[str, str]]:
        """What is bound now, as the option has it."""
        rows = self.session.pages(self.service, "ListAccessBindings", resource_id=self.bound_to())
        return [{"role": b.role_id, **whom} for b in rows if (whom := whose(b))]

    def grant(self, wanted: dict) -> None:
        """Add and take away, in one step, what is not as wanted."""
        if "access" not in wanted:
            return
        there, rows = self.granted(), wanted["access"]
        request = self.request("UpdateAccessBindings", resource_id=self.bound_to())
        for action, changes in (
            ("ADD", [r for r in rows if r not in there]),
            ("REMOVE", [r for r in there if r not in rows]),
        ):
            for row in changes:
                request.access_binding_deltas.add(action=action, access_binding=binding_of(row))
        if request.access_binding_deltas:
            self.call("UpdateAccessBindings", request)


def whose(binding: Any) -> dict[str, str] | None:
    """Who has the role, as the option says it; None for people and groups, of whom it says nothing."""
    if binding.subject.type == "serviceAccount":
        return {"service_account": binding.subject.id}
    return next(({"everybody": word} for word, api in SYSTEM.items() if api == binding.subject.id), None)


def whom(wanted: dict) -> None:
    """Raises Fail where an entry of the list is for nobody."""
    for row in wanted.get("access", ()):
        if not (row.get("service_account") or row.get("everybody")):
            raise Fail(f"access: {row['role']}: say for whom: service_account or everybody")


def binding_of(row: dict[str, str]) -> dict[str, Any]:
    """One entry of the list as the API has it."""
    if "everybody" in row:
        subject = {"id": SYSTEM[row["everybody"]], "type": "system"}
    else:
        subject = {"id": row["service_account"], "type": "serviceAccount"}
    return {"role_id": row["role"], "subject": subject}
