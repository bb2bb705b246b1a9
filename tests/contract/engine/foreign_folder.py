"""A folder as somebody else built it: by raw requests of the SDK, with names, orders and options unlike this project's."""

from __future__ import annotations

from typing import Any

from ansible_collections.stagecraft.platform.plugins.module_utils.descriptors import methods, new
from google.protobuf import json_format

ARN = "arn:aws:s3:::shop-of-somebody-else"
DIGEST = "sha256:" + "7" * 64
IMAGE = f"cr.yandex/crp9ftr22d26age3hulg/shop@{DIGEST}"
DOCUMENT = """
openapi: 3.0.0
info: {title: Shop, version: "7"}
paths:
  /buy:
    post:
      operationId: buy
      responses: {"200": {description: sold}}
      x-yc-apigateway-integration: {type: serverless_containers, container_id: CONTAINER, service_account_id: ACCOUNT}
"""


class Folder:
    """Makes things by their requests; what is made has its id under its name in `ids`."""

    def __init__(self, session: Any) -> None:
        self.session, self.ids = session, {}

    def call(self, service: str, method: str, mask: str = "", **values: Any) -> Any:
        request = json_format.ParseDict(values, new(methods(service)[method].input_type))
        if mask:
            request.update_mask.paths.extend(mask.split(","))
        return self.session.call(service, method, request)

    def make(self, api: str, name: str = "", method: str = "Create", **values: Any) -> str:
        service = f"{api}Service"
        given = {"name": name} if name else {}
        if "folder_id" in methods(service)[method].input_type.fields_by_name:
            given["folder_id"] = self.session.folder
        made = self.call(service, method, **given, **values)
        answer = new(methods(service)["Get"].output_type)
        if hasattr(made, "response"):
            made.response.Unpack(answer)
        else:
            answer = getattr(made, "access_key", None) or getattr(made, "api_key", None) or getattr(made, "key", made)
        self.ids[name] = getattr(answer, "id", "")
        return self.ids[name]

    def bind(self, service: str, resource: str, role: str, subject: str, kind: str = "serviceAccount") -> None:
        delta = {"action": "ADD", "access_binding": {"role_id": role, "subject": {"id": subject, "type": kind}}}
        self.call(service, "UpdateAccessBindings", resource_id=resource, access_binding_deltas=[delta])


def fill(session: Any) -> Folder:
    """One or more of every kind that the engine has. Things that refer to each other are there in an order of their own."""
    folder = Folder(session)
    accounts(folder)
    network(folder)
    machines(folder)
    database(folder)
    images(folder)
    serverless(folder)
    names(folder)
    return folder


def accounts(folder: Folder) -> None:
    ids = folder.ids
    for name in ("zoe-bot", "clerk", "a-courier"):
        folder.make("iam.v1.ServiceAccount", name, labels={"owner": "shop"})
    for role in ("viewer", "kms.keys.encrypterDecrypter"):
        folder.bind("resourcemanager.v1.FolderService", folder.session.folder, role, ids["clerk"])
    folder.bind(
        "resourcemanager.v1.FolderService", folder.session.folder, "viewer", "aje00000000000person", "userAccount"
    )
    folder.make("kms.v1.SymmetricKey", "vault", default_algorithm="AES_128", rotation_period="2592000s")
    folder.bind("kms.v1.SymmetricKeyService", ids["vault"], "kms.viewer", ids["zoe-bot"])
    entries = [{"key": "pass", "text_value": "never-to-be-exported"}, {"key": "pin", "text_value": "1234-never"}]
    folder.make("lockbox.v1.Secret", "till", version_payload_entries=entries, kms_key_id=ids["vault"])
    generated = {"password_key": "word", "length": 20, "include_punctuation": False}
    folder.make("lockbox.v1.Secret", "made", password_payload_specification=generated, deletion_protection=True)
    folder.bind("lockbox.v1.SecretService", ids["till"], "lockbox.payloadViewer", ids["clerk"])
    folder.make("iam.v1.awscompatibility.AccessKey", service_account_id=ids["clerk"], description="s3 uploads")
    folder.make("iam.v1.Key", service_account_id=ids["a-courier"], description="terraform", key_algorithm="RSA_4096")
    scopes = {"scopes": ["yc.ai.foundationModels.execute"], "expires_at": "2040-01-01T00:00:00Z"}
    folder.make("iam.v1.ApiKey", service_account_id=ids["a-courier"], description="gpt", **scopes)
    folder.make("iam.v1.ApiKey", service_account_id=ids["zoe-bot"])  # without a description
    folder.make(
        "storage.v1.Bucket", "shop-of-somebody-else", max_size=3 << 30, default_storage_class="COLD",
        acl={"grants": [{"permission": "PERMISSION_READ", "grant_type": "GRANT_TYPE_ACCOUNT", "grantee_id": ids["clerk"]}]},
        tags=[{"key": "cost", "value": "shop"}],
    )  # fmt: skip
    folder.call(
        "storage.v1.BucketService", "Update", name="shop-of-somebody-else",
        mask="lifecycle_rules,policy,versioning,cors,encryption",
        lifecycle_rules=[{"id": "z", "enabled": False, "filter": {"prefix": "old/"}, "expiration": {"days": 9}}],
        policy={"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"},
            {"Effect": "Allow", "Principal": "*", "Action": "s3:PutBucketPolicy", "Resource": ARN},
        ]},
        versioning="VERSIONING_SUSPENDED",
        cors=[{"allowed_methods": ["METHOD_GET"], "allowed_origins": ["*"], "max_age_seconds": 90}],
        encryption={"rules": [{"kms_master_key_id": ids["vault"], "sse_algorithm": "aws:kms"}]},
    )  # fmt: skip


def network(folder: Folder) -> None:
    ids = folder.ids
    folder.make("vpc.v1.Network", "office", description="net: with a {{ curly }} description")
    folder.make("vpc.v1.Gateway", "way-out", shared_egress_gateway_spec={})
    routes = [
        {"destination_prefix": "10.99.0.0/16", "next_hop_address": "192.168.7.9"},
        {"destination_prefix": "0.0.0.0/0", "gateway_id": ids["way-out"]},
    ]
    folder.make("vpc.v1.RouteTable", "routes-of-office", network_id=ids["office"], static_routes=routes)
    folder.make(
        "vpc.v1.Subnet", "desks", network_id=ids["office"], zone_id="ru-central1-d", v4_cidr_blocks=["192.168.7.0/24"],
        route_table_id=ids["routes-of-office"], dhcp_options={"domain_name_servers": ["192.168.7.2"]},
    )  # fmt: skip
    folder.make(
        "vpc.v1.Subnet", "attic", network_id=ids["office"], zone_id="ru-central1-a", v4_cidr_blocks=["172.16.0.0/20"]
    )
    for name in ("left", "right"):
        folder.make("vpc.v1.SecurityGroup", name, network_id=ids["office"])
    for name, other in (("left", "right"), ("right", "left")):  # each lets the other in
        rules = [
            {"direction": "INGRESS", "protocol_name": "TCP", "ports": {"from_port": 8000, "to_port": 8100},
             "security_group_id": ids[other]},
            {"direction": "EGRESS", "protocol_name": "ANY", "cidr_blocks": {"v4_cidr_blocks": ["0.0.0.0/0", "10.0.0.0/8"]}},
            {"direction": "INGRESS", "protocol_number": 17, "description": "by number",
             "cidr_blocks": {"v4_cidr_blocks": ["10.1.0.0/16"]}},
        ]  # fmt: skip
        folder.call(
            "vpc.v1.SecurityGroupService", "Update", security_group_id=ids[name], mask="rule_specs", rule_specs=rules
        )
    folder.make("vpc.v1.Address", "door", external_ipv4_address_spec={"zone_id": "ru-central1-d"})


def machines(folder: Folder) -> None:
    ids = folder.ids
    wanted = {"folder_id": "standard-images", "family": "debian-12"}
    image = folder.call("compute.v1.ImageService", "GetLatestByFamily", **wanted)
    address = folder.call("vpc.v1.AddressService", "Get", address_id=ids["door"]).external_ipv4_address.address
    folder.make("compute.v1.Disk", "attic-box", size=11 << 30, zone_id="ru-central1-d", type_id="network-hdd")
    folder.make("compute.v1.Disk", "", size=12 << 30, zone_id="ru-central1-d")  # without a name
    folder.make(
        "compute.v1.Instance", "counter", zone_id="ru-central1-d", platform_id="standard-v2", hostname="till-1",
        resources_spec={"cores": 4, "memory": 8 << 30, "core_fraction": 50},
        boot_disk_spec={"auto_delete": False, "disk_spec": {
            "size": 15 << 30, "type_id": "network-hdd", "image_id": image.id, "name": "boot-of-counter"}},
        secondary_disk_specs=[{"disk_id": ids["attic-box"], "mode": "READ_ONLY", "device_name": "box"}],
        network_interface_specs=[{
            "subnet_id": ids["desks"], "security_group_ids": [ids["right"], ids["left"]],
            "primary_v4_address_spec": {
                "address": "192.168.7.77", "one_to_one_nat_spec": {"address": address, "ip_version": "IPV4"}},
        }],
        metadata={"user-data": "#cloud-config\nruncmd: ['echo {{ not_ours }}']\n"}, service_account_id=ids["clerk"],
        scheduling_policy={"preemptible": True}, placement_policy={"host_affinity_rules": [
            {"key": "yc.hostId", "op": "IN", "values": ["host-7"]}]},
    )  # fmt: skip
    counter = folder.call("compute.v1.InstanceService", "Get", instance_id=ids["counter"])
    folder.make("compute.v1.Snapshot", "before-sale", disk_id=counter.boot_disk.disk_id, labels={"why": "sale"})
    folder.make("compute.v1.Snapshot", "of-the-box", disk_id=ids["attic-box"])
    schedule = {"expression": "15 4 * * 1"}
    folder.make(
        "compute.v1.SnapshotSchedule", "weekly", schedule_policy=schedule, retention_period="1209600s",
        disk_ids=[counter.boot_disk.disk_id, ids["attic-box"]],
    )  # fmt: skip
    folder.make("compute.v1.SnapshotSchedule", "of-machines", schedule_policy=schedule, snapshot_count="3",
                disk_ids=[counter.boot_disk.disk_id])  # fmt: skip


def database(folder: Folder) -> None:
    ids = folder.ids
    cluster = folder.make(
        "mdb.postgresql.v1.Cluster", "ledger", environment="PRESTABLE", network_id=ids["office"],
        config_spec={"version": "16", "resources": {
            "resource_preset_id": "s2.micro", "disk_size": 21 << 30, "disk_type_id": "network-hdd"},
            "postgresql_config_16": {"max_connections": 133, "log_min_duration_statement": 0}},
        host_specs=[{"zone_id": "ru-central1-a", "subnet_id": ids["attic"]},
                    {"zone_id": "ru-central1-d", "subnet_id": ids["desks"], "assign_public_ip": True}],
        user_specs=[{"name": "bookkeeper", "password": "never-to-be-exported"}],
        database_specs=[{"name": "books", "owner": "bookkeeper", "lc_collate": "en_US.UTF-8"}],
        security_group_ids=[ids["left"]],
    )  # fmt: skip
    folder.call(
        "mdb.postgresql.v1.UserService", "Create", cluster_id=cluster, user_spec={
            "name": "auditor", "password": "never-to-be-exported", "login": False, "conn_limit": "7",
            "permissions": [{"database_name": "books"}], "settings": {"lock_timeout": "500"}},
    )  # fmt: skip


def images(folder: Folder) -> None:
    ids = folder.ids
    registry = folder.make("containerregistry.v1.Registry", "crates")
    folder.call("containerregistry.v1.RegistryService", "SetIpPermission", registry_id=registry,
                ip_permission=[{"action": "PUSH", "ip": "10.3.0.0/16"}])  # fmt: skip
    folder.call("containerregistry.v1.RepositoryService", "Upsert", name=f"{registry}/deep/nested/app")
    where = {"repository_name": f"{registry}/deep/nested/app"}
    repository = folder.call("containerregistry.v1.RepositoryService", "GetByName", **where).id
    folder.bind("containerregistry.v1.RepositoryService", repository, "container-registry.images.puller", ids["clerk"])
    folder.make(
        "containerregistry.v1.LifecyclePolicy", "tidy", repository_id=repository, status="DISABLED",
        rules=[{"tag_regexp": "tmp.*", "retained_top": "2", "expire_period": "259200s"}],
    )  # fmt: skip
    folder.make("containerregistry.v1.ScanPolicy", "look", registry_id=registry, rules={
        "push_rule": {"repository_prefixes": ["deep"]},
        "schedule_rules": [{"repository_prefixes": ["*"], "rescan_period": "604800s"}]})  # fmt: skip


def serverless(folder: Folder) -> None:
    ids = folder.ids
    folder.make("logging.v1.LogGroup", "chatter", retention_period="7200s")
    folder.make("serverless.containers.v1.Container", "shop")
    folder.call(
        "serverless.containers.v1.ContainerService", "DeployRevision", container_id=ids["shop"],
        resources={"memory": 1 << 30, "cores": "1", "core_fraction": "20"}, execution_timeout="45s",
        service_account_id=ids["clerk"], concurrency="3", description="a revision that is described",
        image_spec={"image_url": IMAGE, "environment": {"B": "2", "A": "{% raw %}"}, "args": {"args": ["--x", "y"]}},
        secrets=[{"id": ids["till"], "key": "pin", "environment_variable": "PIN",
                  "version_id": folder.call("lockbox.v1.SecretService", "Get", secret_id=ids["till"]).current_version.id}],
        log_options={"log_group_id": ids["chatter"]},
    )  # fmt: skip
    folder.make("serverless.containers.v1.Container", "greedy")
    folder.call(
        "serverless.containers.v1.ContainerService", "DeployRevision", container_id=ids["greedy"],
        resources={"memory": 4 << 30, "cores": "2"}, execution_timeout="45s", image_spec={"image_url": IMAGE},
    )  # fmt: skip
    later = [{"key": "pin", "text_value": "5678-never"}]  # the revision stays with the version before
    folder.call("lockbox.v1.SecretService", "AddVersion", secret_id=ids["till"], payload_entries=later)
    folder.bind("serverless.containers.v1.ContainerService", ids["shop"], "serverless-containers.containerInvoker",
                "allUsers", "system")  # fmt: skip
    document = DOCUMENT.replace("CONTAINER", ids["shop"]).replace("ACCOUNT", ids["zoe-bot"])
    folder.make("serverless.apigateway.v1.ApiGateway", "gate", openapi_spec=document)


def names(folder: Folder) -> None:
    ids, zones = folder.ids, "dns.v1.DnsZoneService"
    folder.make(
        "certificatemanager.v1.Certificate", "cert", "RequestNew", domains=["shop.example.org"], challenge_type="DNS"
    )
    gateway = folder.call("serverless.apigateway.v1.ApiGatewayService", "Get", api_gateway_id=ids["gate"])
    folder.make("dns.v1.DnsZone", "inner", zone="shop.internal.", private_visibility={"network_ids": [ids["office"]]})
    folder.make("dns.v1.DnsZone", "outer", zone="shop.example.org.", public_visibility={})
    for zone, name, kind, data in (
        ("inner", "till.shop.internal.", "A", ["192.168.7.77"]),
        ("inner", "text.shop.internal.", "TXT", ["v=1", "two words"]),
        ("inner", "sub.shop.internal.", "NS", ["ns1.example.org."]),
        ("outer", "www.shop.example.org.", "CNAME", [f"{gateway.domain}."]),
    ):
        record = {"name": name, "type": kind, "ttl": "777", "data": data}
        folder.call(zones, "UpsertRecordSets", dns_zone_id=ids[zone], replacements=[record])
