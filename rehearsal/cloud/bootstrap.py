"""What stands in the cloud before anybody calls: a cloud, a folder, an administrator with a key, the public images."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rehearsal import files
from rehearsal.cloud.descriptors import new
from rehearsal.cloud.service import new_id

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from rehearsal.cloud.core import Cloud

IMAGES = "standard-images"
PUBLIC = "yandex-cloud"  # whose folder that is
FAMILIES = {"debian-12": 3 << 30, "debian-13": 3 << 30}  # bytes that a disk of it needs
ADMINISTRATOR = "stagecraft"
# What the account that runs a stage's playbooks may do, on the stage's folder and nowhere else.
STAGE_ROLES = (
    "api-gateway.editor",
    "auditor",  # taking a stage down ends with a list of every service of its folder
    "certificate-manager.admin",
    "compute.editor",
    "container-registry.admin",
    "dns.editor",
    "iam.serviceAccounts.admin",
    "kms.admin",
    "lockbox.admin",
    "logging.admin",
    "managed-postgresql.editor",
    "resource-manager.admin",  # it binds roles to the stage's accounts
    "serverless-containers.admin",  # it says who may call a container
    "storage.admin",
    "vpc.admin",
)
REAL = "api.cloud.yandex.net"


def key_pair() -> tuple[str, str]:
    """A private and a public RSA key, PEM, as authorized keys are."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def audiences(host: str, port: int) -> set[str]:
    """For whom a signed request may be meant: this server by any of its names, or the real cloud's token service."""
    names = {f"{name}:{port}" for name in (host, "localhost", "127.0.0.1")} | {REAL, f"{REAL}:443"}
    if port == 443:
        names |= {host, "localhost"}
    return {f"https://iam.{name}/iam/v1/tokens" for name in names} | {f"https://iam.{REAL}/iam/v1/tokens"}


def prepare(cloud: Cloud, folder: Path) -> dict[str, str]:
    """Make what is missing; returns what a caller needs to know: ids and the paths of credentials (mode 0600)."""
    key_file, oauth_file = folder / "key.json", folder / "oauth.token"
    with cloud.store.transaction():
        cloud.cloud_id = cloud.store.setting("cloud") or _place(cloud, "cloud", "resourcemanager.v1.Cloud", "rehearsal")
        cloud.folder_id = cloud.store.setting("folder") or _place(
            cloud, "folder", "resourcemanager.v1.Folder", "default"
        )
        if cloud.store.row("resourcemanager.v1.Folder", IMAGES) is None:
            _add(cloud, "resourcemanager.v1.Folder", id=IMAGES, name=IMAGES, cloud_id=PUBLIC)
            for family, size in FAMILIES.items():
                _image(cloud, family, size)
        if not key_file.exists():
            _administrator(cloud, key_file)
    if not oauth_file.exists():
        files.write(oauth_file, f"y0_{secrets.token_urlsafe(40)}".encode())
    cloud.identity.oauth = (oauth_file.read_text(), json.loads(key_file.read_text())["service_account_id"])
    return {
        "YC_SERVICE_ACCOUNT_KEY_FILE": str(key_file),
        "YC_FOLDER_ID": cloud.folder_id,
        "YC_CLOUD_ID": cloud.cloud_id,
    }


def _add(cloud: Cloud, api: str, **values: object) -> Message:
    resource = new(api)
    for name, value in values.items():
        setattr(resource, name, value)
    resource.created_at.GetCurrentTime()
    kind = cloud.kind(api)
    kind.set_status(resource, "ACTIVE", "READY")
    kind.save(cloud, resource)
    return resource


def _place(cloud: Cloud, setting: str, api: str, name: str) -> str:
    ident = new_id("b1g")
    _add(cloud, api, id=ident, name=name, **({"cloud_id": cloud.cloud_id} if setting == "folder" else {}))
    cloud.store.put_setting(setting, ident)
    return ident


def _image(cloud: Cloud, family: str, size: int) -> None:
    image = _add(cloud, "compute.v1.Image", id=new_id("fd8"), folder_id=IMAGES, name=f"{family}-v1", family=family)
    image.min_disk_size, image.os.type = size, image.os.LINUX
    cloud.kind("compute.v1.Image").save(cloud, image)


def _administrator(cloud: Cloud, key_file: Path) -> None:
    """The account that a stage's playbooks act as, and its authorized key."""
    private, public = key_pair()
    account = _add(cloud, "iam.v1.ServiceAccount", id=new_id("aje"), folder_id=cloud.folder_id, name=ADMINISTRATOR)
    key = new("iam.v1.Key")
    key.id, key.service_account_id, key.public_key = new_id("aje"), account.id, public
    key.created_at.GetCurrentTime()
    key.key_algorithm = key.RSA_2048
    cloud.kind("iam.v1.Key").save(cloud, key)
    for role in STAGE_ROLES:
        cloud.identity.bind(cloud.folder_id, role, "serviceAccount", account.id)
    cloud.identity.bind(cloud.cloud_id, "resource-manager.clouds.member", "serviceAccount", account.id)
    remark = f"PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <{key.id}>\n"
    content = {
        "id": key.id,
        "service_account_id": account.id,
        "created_at": key.created_at.ToJsonString(),
        "key_algorithm": "RSA_2048",
        "public_key": public,
        "private_key": remark + private,
    }
    files.write(key_file, json.dumps(content, indent=1).encode())
