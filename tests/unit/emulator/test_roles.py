"""What a caller may do: roles on a resource, its folder or the cloud; the stage's own account among them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from cloud_client import Client, refused

from rehearsal.cloud import roles
from rehearsal.cloud.bootstrap import STAGE_ROLES
from rehearsal.cloud.descriptors import new

Code = grpc.StatusCode


@pytest.fixture
def robot(emulator, client) -> tuple[Client, Callable[..., None]]:
    """A client with the key of a new service account, and a function that binds or takes its roles on the folder."""
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="robot")
    made = client.api("iam.v1.Key").Create(service_account_id=account.id)
    key = {"id": made.key.id, "service_account_id": account.id, "private_key": made.private_key}
    folders = client.api("resourcemanager.v1.Folder")

    def bind(*given: str, action: str = "ADD") -> None:
        subject = {"id": account.id, "type": "serviceAccount"}
        deltas = [{"action": action, "access_binding": {"role_id": role, "subject": subject}} for role in given]
        folders.UpdateAccessBindings(resource_id=client.folder, access_binding_deltas=deltas)

    return Client(emulator.env, service_account_key=key), bind


def networks(client: Client) -> list[str]:
    return [network.name for network in client.api("vpc.v1.Network").List(folder_id=client.folder).networks]


def test_roles_decide(client, robot):
    robot, bind = robot
    secret = client.api("lockbox.v1.Secret").Create(
        folder_id=client.folder, name="s", version_payload_entries=[{"key": "a", "text_value": "b"}]
    )
    refused(Code.PERMISSION_DENIED, lambda: networks(robot), "lacks the role vpc.viewer")
    bind("viewer")
    assert networks(robot) == []
    refused(Code.PERMISSION_DENIED, robot.network, "lacks the role vpc.editor")
    payload = robot.api("lockbox.v1.Payload")
    refused(Code.PERMISSION_DENIED, lambda: payload.Get(secret_id=secret.id), "lacks the role lockbox.payloadViewer")
    bind("lockbox.payloadViewer")
    assert payload.Get(secret_id=secret.id).entries[0].text_value == "b"
    bind("vpc.admin")
    assert robot.network("robots").name == "robots"
    bind("vpc.admin", action="REMOVE")
    refused(Code.PERMISSION_DENIED, lambda: robot.network("more"))


def test_a_network_admin_is_refused_at_compute(client, robot):
    robot, bind = robot
    bind("vpc.admin")
    values = client.instance_values(robot.subnet(robot.network()), "vm")
    create = lambda: robot.api("compute.v1.Instance").Create(**values)  # noqa: E731
    refused(
        Code.PERMISSION_DENIED, create, "compute.v1.InstanceService", client.folder, "lacks the role compute.editor"
    )
    bind("compute.editor")
    assert create().name == "vm"


def test_what_a_machine_uses_of_other_services_needs_roles_there(client, robot):
    robot, bind = robot
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="of-machine")
    values = client.instance_values(client.subnet(client.network()), "vm", nat={}, service_account_id=account.id)
    bind("compute.admin")
    for missing in ("vpc.user", "vpc.publicAdmin", "iam.serviceAccounts.user"):
        refused(Code.PERMISSION_DENIED, lambda: robot.api("compute.v1.Instance").Create(**values), f"role {missing}")
        bind(missing)
    assert robot.api("compute.v1.Instance").Create(**values).name == "vm"


def test_a_role_on_one_resource_is_for_that_one(client, robot):
    robot, _ = robot
    account = client.api("iam.v1.ServiceAccount").List(folder_id=client.folder, filter='name="robot"')
    subject = {"id": account.service_accounts[0].id, "type": "serviceAccount"}
    secrets = [client.api("lockbox.v1.Secret").Create(folder_id=client.folder, name=name) for name in ("mine", "other")]
    binding = {"role_id": "lockbox.editor", "subject": subject}
    client.api("lockbox.v1.Secret").SetAccessBindings(resource_id=secrets[0].id, access_bindings=[binding])
    add = lambda secret: robot.api("lockbox.v1.Secret").AddVersion(  # noqa: E731
        secret_id=secret.id, payload_entries=[{"key": "a", "text_value": "b"}]
    )
    assert add(secrets[0]).payload_entry_keys == ["a"]
    refused(Code.PERMISSION_DENIED, lambda: add(secrets[1]))


def test_the_stages_account_has_its_folder_and_nothing_else(emulator, client):
    other = new("resourcemanager.v1.Folder")
    other.id, other.name, other.cloud_id = "b1gother000000000000", "other", client.cloud
    emulator.cloud.kind("resourcemanager.v1.Folder").save(emulator.cloud, other)
    create = client.api("vpc.v1.Network").Create
    assert create(folder_id=client.folder, name="main").name == "main"
    refused(Code.PERMISSION_DENIED, lambda: create(folder_id=other.id, name="main"), other.id)
    refused(Code.PERMISSION_DENIED, lambda: client.api("compute.v1.Instance").List(folder_id=other.id))
    mine = client.api("iam.v1.ServiceAccount").List(folder_id=client.folder).service_accounts[0].id
    owner = {"role_id": "admin", "subject": {"id": mine, "type": "serviceAccount"}}
    for api, place in (("Cloud", client.cloud), ("Folder", other.id)):
        bind = client.api(f"resourcemanager.v1.{api}").SetAccessBindings
        refused(Code.PERMISSION_DENIED, lambda bind=bind, place=place: bind(resource_id=place, access_bindings=[owner]))
    disk = {"folder_id": "standard-images", "name": "d", "zone_id": "ru-central1-a", "size": 10 << 30}
    refused(Code.PERMISSION_DENIED, lambda: client.api("compute.v1.Disk").Create(**disk), "standard-images")


def test_an_account_that_is_gone_has_no_rights(client, robot):
    robot, bind = robot
    bind("viewer")
    assert networks(robot) == []
    accounts = client.api("iam.v1.ServiceAccount")
    account = accounts.List(folder_id=client.folder, filter='name="robot"').service_accounts[0].id
    accounts.Delete(service_account_id=account)
    refused(Code.UNAUTHENTICATED, lambda: networks(robot))
    bindings = client.api("resourcemanager.v1.Folder").ListAccessBindings(resource_id=client.folder).access_bindings
    assert bindings and account not in {binding.subject.id for binding in bindings}


@pytest.mark.parametrize(
    ("role", "method", "allowed"),
    [
        ("admin", "vpc.v1.NetworkService.Create", True),
        ("editor", "resourcemanager.v1.FolderService.UpdateAccessBindings", False),
        ("editor", "compute.v1.InstanceService.Create", True),
        ("viewer", "compute.v1.InstanceService.Create", False),
        ("vpc.user", "vpc.v1.NetworkService.List", True),
        ("vpc.user", "vpc.v1.NetworkService.Create", False),
        ("vpc.admin", "compute.v1.InstanceService.List", False),
        ("compute.operator", "compute.v1.InstanceService.Stop", True),
        ("compute.operator", "compute.v1.InstanceService.Update", False),
        ("compute.images.user", "compute.v1.InstanceService.List", False),
        ("iam.serviceAccounts.keyAdmin", "iam.v1.KeyService.Create", True),
        ("iam.serviceAccounts.keyAdmin", "iam.v1.ServiceAccountService.Delete", False),
        ("iam.serviceAccounts.tokenCreator", "iam.v1.IamTokenService.CreateForServiceAccount", True),
        ("iam.serviceAccounts.user", "iam.v1.IamTokenService.CreateForServiceAccount", False),
        ("storage.editor", "storage.v1.BucketService.Create", True),
        ("lockbox.editor", "lockbox.v1.PayloadService.Get", False),
        ("lockbox.admin", "lockbox.v1.PayloadService.Get", True),
        ("viewer", "lockbox.v1.PayloadService.Get", False),
        ("managed-postgresql.editor", "mdb.postgresql.v1.ClusterService.Create", True),
        ("managed-redis.editor", "mdb.postgresql.v1.ClusterService.Create", False),
        ("serverless-containers.editor", "serverless.containers.v1.ContainerService.Rollback", True),
        ("serverless-containers.editor", "serverless.containers.v1.ContainerService.SetAccessBindings", False),
        ("serverless-containers.containerInvoker", "serverless.containers.v1.ContainerService.Get", False),
        ("api-gateway.editor", "serverless.apigateway.v1.ApiGatewayService.Create", True),
        ("api-gateway.editor", "serverless.containers.v1.ContainerService.Create", False),
        ("no.such.role", "vpc.v1.NetworkService.List", False),
    ],
)
def test_what_a_role_allows(role, method, allowed):
    assert roles.allows(role, method) is allowed


def test_the_stages_roles_are_roles_and_a_person_can_read_them():
    assert all(roles.permissions(role) for role in STAGE_ROLES)
    text = (Path(__file__).parents[3] / "docs" / "rehearsal.md").read_text()
    assert [role for role in STAGE_ROLES if f"`{role}`" not in text] == []
