"""Who may do what: service accounts, their keys and their roles."""

from __future__ import annotations

from ..shown_once import AccessKeys, AuthorizedKeys
from ..yandex import SECRET, Field, Ref, Resource, Yandex


class Bindings(Yandex):
    """A binding is an element of its folder's list, changed by deltas."""

    def find(self) -> dict | None:
        self.keys["folder"] = self.keys.get("folder") or self.session.need_folder()
        rows = self.session.pages(self.service, "ListAccessBindings", resource_id=self.keys["folder"])
        whose = (self.keys["role"], self.keys["service_account"])
        self.raw = next((b for b in rows if (b.role_id, b.subject.id) == whose), None)
        return None if self.raw is None else {}

    def change(self, action: str) -> None:
        request = self.request("UpdateAccessBindings", resource_id=self.keys["folder"])
        subject = {"id": self.keys["service_account"], "type": "serviceAccount"}
        binding = {"role_id": self.keys["role"], "subject": subject}
        request.access_binding_deltas.add(action=action, access_binding=binding)
        self.call("UpdateAccessBindings", request)

    def create(self, wanted: dict) -> None:
        self.change("ADD")
        self.find()

    def delete(self) -> None:
        self.change("REMOVE")
        self.raw = None


SERVICE_ACCOUNT = Resource("iam.v1.ServiceAccount", example="name: robot")

FOLDER_BINDING = Resource(
    "iam.v1.FolderBinding",
    backend=Bindings,
    service="resourcemanager.v1.FolderService",
    message="access.AccessBinding",
    fields=(
        Ref("service_account", SERVICE_ACCOUNT, path="subject.id", key=True),
        Field("role", path="role_id", key=True),
    ),
    example="""
service_account: robot
role: storage.editor
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
