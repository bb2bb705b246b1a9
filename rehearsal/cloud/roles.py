"""Roles: what each lets its holder do, by service and verb, as the cloud's reference of roles says."""

from __future__ import annotations

from fnmatch import fnmatchcase

# Verbs: `read`; `use` (name it in a resource of another service); `operate` (start and stop); `write`; `public` (give a
# machine a public address); `grant` (access bindings); `payload` (a secret's value); `token` (act as an account); `pull` and
# `push` (images); `invoke` (call a serverless container).
READ = frozenset({"read"})
USE = READ | {"use"}
EDIT = USE | {"operate", "write"}
ADMIN = EDIT | {"grant"}
IMAGES = frozenset({"pull", "push"})
ALL = ADMIN | IMAGES | {"public", "payload", "token", "invoke"}
Permissions = tuple[tuple[str, frozenset[str]], ...]  # (pattern of services, verbs)

PRIMITIVE: dict[str, Permissions] = {
    "auditor": (("*", READ),),
    "viewer": (("*", READ),),
    "editor": (("*", EDIT | IMAGES | {"public", "payload", "invoke"}),),
    "admin": (("*", ALL),),
}
# What <service>.<duty> means in every service that has no words of its own for it.
DUTIES = {"auditor": READ, "viewer": READ, "editor": EDIT, "admin": ADMIN}
CONTAINERS = "serverless.containers.v1.ContainerService"
KEYS = ("iam.v1.KeyService", "iam.v1.ApiKeyService", "iam.v1.awscompatibility.AccessKeyService")
REGISTRY = "containerregistry.v1.*"
SPECIAL: dict[str, Permissions] = {
    "certificate-manager.certificates.downloader": (("certificatemanager.v1.*", READ | {"payload"}),),
    "certificate-manager.admin": (("certificatemanager.v1.*", ADMIN | {"payload"}),),
    "compute.disks.user": (("compute.v1.DiskService", USE),),
    "compute.images.user": (("compute.v1.ImageService", USE),),
    "compute.operator": (("compute.v1.*", READ | {"operate"}),),
    "compute.snapshotSchedules.viewer": (("compute.v1.SnapshotScheduleService", READ),),
    "compute.snapshotSchedules.editor": (
        ("compute.v1.SnapshotScheduleService", EDIT),
        ("compute.v1.SnapshotService", EDIT),
        ("compute.v1.DiskService", USE),
    ),
    "container-registry.images.puller": ((REGISTRY, READ | {"pull"}),),
    "container-registry.images.scanner": ((REGISTRY, READ | {"pull"}), ("containerregistry.v1.ScannerService", EDIT)),
    "container-registry.images.pusher": ((REGISTRY, READ | IMAGES), ("containerregistry.v1.ImageService", EDIT)),
    "container-registry.editor": ((REGISTRY, EDIT | IMAGES),),
    "container-registry.admin": ((REGISTRY, ADMIN | IMAGES),),
    "iam.admin": (("iam.*", ADMIN | {"token"}),),
    "iam.serviceAccounts.user": (("iam.v1.ServiceAccountService", USE),),
    "iam.serviceAccounts.admin": (("iam.v1.ServiceAccountService", ADMIN | {"token"}), *((key, EDIT) for key in KEYS)),
    "iam.serviceAccounts.keyAdmin": tuple((key, EDIT) for key in KEYS),
    "iam.serviceAccounts.tokenCreator": (("iam.v1.IamTokenService", frozenset({"token"})),),
    "lockbox.payloadViewer": (("lockbox.v1.*", READ | {"payload"}),),
    "lockbox.admin": (("lockbox.v1.*", ADMIN | {"payload"}),),
    "logging.writer": (("logging.v1.LogIngestionService", EDIT), ("logging.v1.LogGroupService", USE)),
    "logging.reader": (("logging.v1.*", READ),),
    "resource-manager.clouds.member": (("resourcemanager.v1.CloudService", READ),),
    "serverless-containers.containerInvoker": ((CONTAINERS, frozenset({"invoke"})),),
    "serverless-containers.editor": ((CONTAINERS, EDIT | {"invoke"}),),
    "serverless-containers.admin": ((CONTAINERS, ADMIN | {"invoke"}),),
    "storage.uploader": (("storage.v1.*", READ),),  # objects only; Object Storage itself checks those
    "storage.configViewer": (("storage.v1.*", READ),),
    "storage.configurer": (("storage.v1.*", READ | {"write"}),),
    "vpc.publicAdmin": (
        ("vpc.v1.AddressService", EDIT | {"public"}),
        ("vpc.v1.GatewayService", EDIT),
        ("vpc.v1.*", READ),
    ),
    "vpc.privateAdmin": (
        *((f"vpc.v1.{kind}Service", EDIT) for kind in ("Network", "Subnet", "RouteTable")),
        ("vpc.v1.*", READ),
    ),
    "vpc.securityGroups.user": (("vpc.v1.SecurityGroupService", USE),),
    "vpc.securityGroups.admin": (("vpc.v1.SecurityGroupService", EDIT),),
    "vpc.gateways.user": (("vpc.v1.GatewayService", USE),),
    "vpc.gateways.editor": (("vpc.v1.GatewayService", EDIT),),
    "vpc.user": (("vpc.v1.*", USE),),
    "vpc.admin": (("vpc.v1.*", ADMIN | {"public"}),),
}
# Parts of the API whose roles are called otherwise than the part itself.
NAMES = {"resource-manager": "resourcemanager", "alb": "apploadbalancer", "load-balancer": "loadbalancer"}
NAMES |= {"serverless-containers": "serverless.containers", "api-gateway": "serverless.apigateway"}
NAMES |= {"quota-manager": "quotamanager"}
NAMES |= {"container-registry": "containerregistry", "certificate-manager": "certificatemanager"}
PAYLOADS = ("lockbox.v1.PayloadService", "certificatemanager.v1.CertificateContentService")  # what they read is secret
VERBS = {"Start": "operate", "Stop": "operate", "Restart": "operate", "CreateForServiceAccount": "token"}
VERBS |= {"SetAccessBindings": "grant", "UpdateAccessBindings": "grant"}


def verb(method: str) -> str:
    """What a method asks for."""
    service, _, name = method.rpartition(".")
    if service in PAYLOADS:
        return "payload"
    return VERBS.get(name) or ("read" if name.startswith(("Get", "List", "Read")) else "write")


def permissions(role: str) -> Permissions:
    """What a role allows; nothing where there is no such role."""
    if found := PRIMITIVE.get(role) or SPECIAL.get(role):
        return found
    service, _, duty = role.rpartition(".")
    if not service or duty not in DUTIES or "." in service:
        return ()
    return ((f"{package(service)}.*", DUTIES[duty]),)


def package(service: str) -> str:
    """The part of the API that a role's first word means: `managed-postgresql` is `mdb.postgresql`."""
    if service.startswith("managed-"):
        return f"mdb.{service.removeprefix('managed-')}"
    return NAMES.get(service, service.replace("-", ""))


def permits(role: str, service: str, wanted: str) -> bool:
    """Whether a role allows a verb in a service such as `vpc.v1.SubnetService`."""
    return any(wanted in verbs and fnmatchcase(service, pattern) for pattern, verbs in permissions(role))


def allows(role: str, method: str) -> bool:
    """Whether a role lets its holder call a method."""
    return permits(role, method.rpartition(".")[0], verb(method))


def needed(service: str, wanted: str) -> str:
    """The least of a service's roles that allows a verb there, for the refusal to name."""
    named = {package: name for name, package in NAMES.items()}
    first, second = service.split(".")[:2]
    own = f"managed-{second}" if first == "mdb" else named.get(f"{first}.{second}") or named.get(first, first)
    roles = [f"{own}.{duty}" for duty in ("viewer", "editor", "admin")]
    roles += [role for role in SPECIAL if role.startswith(f"{own}.") and role not in roles]
    fitting = [role for role in roles if permits(role, service, wanted)]

    def power(role: str) -> tuple[bool, int]:
        return role.endswith(".admin"), sum(len(verbs) for _, verbs in permissions(role))

    return min(fitting, key=power, default="admin")
