"""Who may do what: service accounts, their keys and their roles."""

from __future__ import annotations

from typing import Any

from ..protobuf import tidy
from ..shown_once import AccessKeys, ApiKeys, AuthorizedKeys
from ..yandex import SECRET, Fail, Field, Ref, Resource, Yandex


class Bindings(Yandex):
    """A binding is an element of its folder's list, changed by deltas."""

    def find(self) -> dict | None:
        self.keys["folder"] = self.keys.get("folder") or self.session.need_folder()
        self.raw = next((b for b in self.rows() if b.role_id == self.keys["role"]), None)
        return None if self.raw is None else {}

    # ---- for an export ----
    def everything(self) -> list[Any]:
        rows = self.session.pages(self.service, "ListAccessBindings", resource_id=self.keys["folder"])
        return [b for b in rows if b.subject.type == "serviceAccount"]

    def adopt(self, row: Any) -> dict:
        self.raw = row
        return {}

    # ---- bindings ----
    def rows(self) -> list[Any]:
        """What the account has on the folder."""
        rows = self.session.pages(self.service, "ListAccessBindings", resource_id=self.keys["folder"])
        return [b for b in rows if b.subject.id == self.keys["service_account"]]

    def change(self, **roles: list[str]) -> None:
        """`ADD` and `REMOVE` roles, in one step."""
        request = self.request("UpdateAccessBindings", resource_id=self.keys["folder"])
        subject = {"id": self.keys["service_account"], "type": "serviceAccount"}
        for action, names in roles.items():
            for role in names:
                binding = {"role_id": role, "subject": subject}
                request.access_binding_deltas.add(action=action, access_binding=binding)
        self.call("UpdateAccessBindings", request)

    def create(self, wanted: dict) -> None:
        self.change(ADD=[self.keys["role"]])
        self.find()

    def delete(self) -> None:
        self.change(REMOVE=[self.keys["role"]])
        self.raw = None


class RoleSets(Bindings):
    """All roles of one account: what is not in the list is taken away."""

    def find(self) -> dict | None:
        self.keys["folder"] = self.keys.get("folder") or self.session.need_folder()
        self.raw = self.rows() or None
        return self.have() if self.raw else None

    def have(self) -> dict[str, Any]:
        return {"roles": sorted(b.role_id for b in self.raw or ())}

    def examine(self, wanted: dict, have: dict) -> None:
        if wanted.get("roles") == []:
            raise Fail("roles: name at least one; state: absent takes all of them away")

    def create(self, wanted: dict) -> None:
        self.examine(wanted, {})
        self.update(wanted, ["roles"])

    def update(self, wanted: dict, changed: list[str], stop: bool = False) -> None:
        there, roles = set(self.have()["roles"]), set(wanted["roles"])
        self.change(ADD=sorted(roles - there), REMOVE=sorted(there - roles))
        self.find()

    def delete(self) -> None:
        self.change(REMOVE=self.have()["roles"])
        self.raw = None

    def returned(self) -> dict[str, Any]:
        return {"subject": tidy(self.raw[0].subject), **self.have()} if self.raw else {}


SERVICE_ACCOUNT = Resource("iam.v1.ServiceAccount", example="name: robot")

FOLDER_BINDING = Resource(
    "iam.v1.FolderBinding",
    backend=Bindings,
    filled=("subject.type",),
    service="resourcemanager.v1.FolderService",
    message="access.AccessBinding",
    fields=(
        Ref("service_account", SERVICE_ACCOUNT, path="subject.id", key=True, gives=True),
        Field("role", path="role_id", key=True),
    ),
    example="""
service_account: robot
role: storage.editor
""",
)

FOLDER_ROLES = Resource(
    "iam.v1.FolderRoles",
    backend=RoleSets,
    service="resourcemanager.v1.FolderService",
    message="access.AccessBinding",
    same_as="iam_folder_binding",
    details=(("roles", "The roles that it has."),),
    note="Not for an account that has an C(iam_folder_binding) too: that role would be taken away.",
    fields=(
        Ref("service_account", SERVICE_ACCOUNT, path="subject.id", key=True, gives=True),
        Field("roles", "All the roles that it has on the folder.", virtual=True, many=True, required=True),
    ),
    example="""
service_account: robot
roles: [storage.editor, lockbox.payloadViewer]
""",
)

OWNER = Ref("service_account", SERVICE_ACCOUNT, "Name of the service account that the key is for.", key=True)
NAME = Field(
    "name",
    "Name of the key; the cloud keeps it as the key's description.",
    "description",
    key=True,
    default="stagecraft",
)
SAVE_TO = Field(
    "save_to",
    "Where the secret half of the key is stored in the same step, because the cloud shows it only once. Where what is "
    "stored there belongs to no key, a new key is made.",
    required=True,
    virtual=True,
    fields=(
        Ref("secret", SECRET, "Name of the Lockbox secret; what else is in it stays.", required=True, virtual=True),
    ),
)

ACCESS_KEY = Resource(
    "iam.v1.awscompatibility.AccessKey",
    module="yc_iam_access_key",
    backend=AccessKeys,
    parent=OWNER,
    note="The secret gets the entries C(key_id) and C(secret).",
    fields=(NAME, SAVE_TO),
    example="""
service_account: robot
name: storage
save_to: {secret: storage-key}
""",
)

KEY = Resource(
    "iam.v1.Key",
    module="yc_iam_key",
    backend=AuthorizedKeys,
    parent=OWNER,
    note="The secret gets the entries C(key_id) and C(key_file), which is what Yandex's tools take as a key file.",
    fields=(NAME, SAVE_TO, Field("algorithm", path="key_algorithm", default="rsa_2048")),
    example="""
service_account: robot
name: controller
save_to: {secret: controller-key}
""",
)

API_KEY = Resource(
    "iam.v1.ApiKey",
    module="yc_iam_api_key",
    backend=ApiKeys,
    filled=("expires_at",),
    parent=OWNER,
    note="The secret gets the entries C(key_id) and C(secret). The cloud's other keys have no end.",
    fields=(
        NAME,
        SAVE_TO,
        Field("scopes", "What it may be used for, such as C(yc.ai.foundationModels.execute)."),
        Field(
            "valid_for",
            "How long it is good. When a third of that is left, the next run makes another one; the old one goes on "
            "working until it ends. Without it the key has no end.",
            unit="duration",
            virtual=True,
        ),
    ),
    example="""
service_account: robot
name: models
scopes: [yc.ai.foundationModels.execute]
valid_for: 90d
save_to: {secret: models-key}
""",
)
