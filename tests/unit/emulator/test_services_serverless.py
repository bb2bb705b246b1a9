"""Serverless containers, and the revision that serves."""

from __future__ import annotations

import grpc
import pytest
from cloud_client import refused

from rehearsal.cloud.errors import ApiError
from rehearsal.world import WorldError
from rehearsal.world.serverless import secrets_of

Code = grpc.StatusCode
CONTAINER = "serverless.containers.v1.Container"
IMAGE = "cr.yandex/crp9ftr22d26age3hulg/some/api@sha256:" + "a" * 64
MIB = 1 << 20


def template(**change: object) -> dict:
    return {"resources": {"memory": 128 * MIB}, "image_spec": {"image_url": IMAGE}, **change}


@pytest.fixture
def container(client):
    return client.api(CONTAINER).Create(folder_id=client.folder, name="api")


def deploy(client, container, **change: object):
    return client.api(CONTAINER).DeployRevision(container_id=container.id, **template(**change))


def statuses(client, container) -> list[str]:
    found = client.api(CONTAINER).ListRevisions(container_id=container.id).revisions
    return [revision.Status.Name(revision.status) for revision in found]


def test_its_secrets_are_read_as_its_account(emulator, client, container):
    """What the container may not read, its revisions do not get."""
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="of-container")
    secrets = client.api("lockbox.v1.Secret")
    entry = {"key": "secret", "text_value": "kept"}
    kept = secrets.Create(folder_id=client.folder, name="kept", version_payload_entries=[entry])
    read = {"environment_variable": "SECRET", "id": kept.id, "key": "secret"}
    revision = deploy(client, container, secrets=[read], service_account_id=account.id)
    with pytest.raises(WorldError, match=f"secret {kept.id}: .*{account.id} lacks the role lockbox.payloadViewer"):
        secrets_of(emulator.cloud, revision)
    viewer = {"role_id": "lockbox.payloadViewer", "subject": {"id": account.id, "type": "serviceAccount"}}
    secrets.SetAccessBindings(resource_id=kept.id, access_bindings=[viewer])
    assert secrets_of(emulator.cloud, revision) == {"SECRET": "kept"}


# ---- revisions ----
def test_what_the_service_chooses(client, container):
    revision = deploy(client, container)
    assert (revision.resources.cores, revision.resources.core_fraction, revision.concurrency) == (1, 100, 1)
    assert revision.execution_timeout.seconds == 3 and revision.runtime.HasField("http")
    assert revision.image.image_digest == "sha256:" + "a" * 64
    assert container.url == f"https://{container.id}.containers.yandexcloud.net/"


def test_one_serves_and_the_way_back(client, container, world):
    first, second = deploy(client, container), deploy(client, container, concurrency=4)
    assert statuses(client, container) == ["OBSOLETE", "ACTIVE"]
    assert client.api(CONTAINER).Rollback(container_id=container.id, revision_id=first.id).id == container.id
    assert statuses(client, container) == ["ACTIVE", "OBSOLETE"]
    assert client.api(CONTAINER).GetRevision(container_revision_id=second.id).concurrency == 4
    asked = [call for call in world.calls if call.startswith("put_revision")]
    assert asked == [f"put_revision {one.id}" for one in (first, second, first)]
    refused(
        Code.NOT_FOUND,
        lambda: client.api(CONTAINER).Rollback(container_id=container.id, revision_id=container.id),
        "Revision",
    )


@pytest.mark.parametrize("broken", ["put_revision", "sync_serverless"])
def test_what_does_not_start_never_serves(client, container, world, broken):
    first = deploy(client, container)
    second = deploy(client, container)
    world.broken.add(broken)
    refused(Code.INTERNAL, lambda: deploy(client, container, concurrency=2), "cannot be done")
    back = {"container_id": container.id, "revision_id": first.id}
    refused(Code.INTERNAL, lambda: client.api(CONTAINER).Rollback(**back), "cannot be done")
    world.broken.clear()
    assert statuses(client, container) == ["OBSOLETE", "ACTIVE"]
    assert client.api(CONTAINER).GetRevision(container_revision_id=second.id).status == second.ACTIVE


def test_one_operation_at_a_time(emulator, client, container):
    emulator.cloud.delay = 0.5
    client.api(CONTAINER).start("DeployRevision", container_id=container.id, **template())
    for call in (
        lambda: deploy(client, container),
        lambda: client.api(CONTAINER).Delete(container_id=container.id),
    ):
        refused(Code.FAILED_PRECONDITION, call, "is in progress")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"resources": {"cores": 1}}, "resources.memory: Field is required"),
        ({"resources": {"memory": 129 * MIB}}, "multiple of 128MB"),
        ({"resources": {"memory": 16384 * MIB}}, "resources.memory: Value must be in"),
        ({"resources": {"memory": 2048 * MIB, "cores": 2}}, "2 cores take at least 4096 MB"),
        ({"resources": {"memory": 128 * MIB, "core_fraction": 3}}, "multiple of 5"),
        ({"resources": {"memory": 4096 * MIB, "cores": 2, "core_fraction": 50}}, "must be 100"),
        ({"concurrency": 17}, "concurrency: Value must be in 1-16"),
        ({"execution_timeout": {"seconds": 3601}}, "execution_timeout"),
        ({"scaling_policy": {"zone_instances_limit": -1}}, "scaling_policy.zone_instances_limit"),
        ({"image_spec": {"image_url": "docker.io/library/python:3"}}, "no image of Container Registry"),
        ({"image_spec": {"image_url": IMAGE[:-1]}}, "no image of Container Registry"),
        ({"image_spec": {"image_url": IMAGE, "environment": {"PORT": "80"}}}, "PORT is set by the service"),
        ({"image_spec": {"image_url": IMAGE, "environment": {"A": "a" * 4096}}}, "4096 bytes"),
    ],
)
def test_what_no_revision_may_be(client, container, change, says):
    refused(Code.INVALID_ARGUMENT, lambda: deploy(client, container, **change), says)
    assert statuses(client, container) == []


def test_secrets_are_there_and_somebody_reads_them(client, container):
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="robot")
    entries = [{"key": "k", "text_value": "v"}]
    secret = client.api("lockbox.v1.Secret").Create(folder_id=client.folder, name="s", version_payload_entries=entries)
    whole = {"id": secret.id, "key": "k", "environment_variable": "K"}
    refused(Code.INVALID_ARGUMENT, lambda: deploy(client, container, secrets=[whole]), "service_account_id")
    for change, words in (
        ({"id": "e6qnothing"}, "Secret e6qnothing not found"),
        ({"key": "other"}, "other of"),
        ({"version_id": "e6qnothing"}, "Version e6qnothing not found"),
    ):
        wrong = {"service_account_id": account.id, "secrets": [{**whole, **change}]}
        refused(Code.NOT_FOUND, lambda wrong=wrong: deploy(client, container, **wrong), words)
    made = deploy(client, container, service_account_id=account.id, secrets=[whole])
    assert made.secrets[0].version_id == secret.current_version.id


def test_instances_that_are_kept_ready_are_counted(emulator, client, container):
    emulator.cloud.quotas.set("serverless.containersWorkersProvisioned.count", 2)
    deploy(client, container, provision_policy={"min_instances": 2})
    deploy(client, container, provision_policy={"min_instances": 1})
    deploy(client, container, provision_policy={"min_instances": 2})
    refused(
        Code.RESOURCE_EXHAUSTED,
        lambda: deploy(client, container, provision_policy={"min_instances": 3}),
        "serverless.containersWorkersProvisioned.count",
    )


def test_who_may_call_it(emulator, client, container, world):
    def may(principal: str) -> bool:
        try:
            places = (container.id, client.folder, client.cloud)
            emulator.cloud.identity.authorize(principal, f"{CONTAINER}Service", "invoke", *places)
        except ApiError:
            return False
        return True

    subject = {"id": "allUsers", "type": "system"}
    binding = {"role_id": "serverless-containers.containerInvoker", "subject": subject}
    change = {"resource_id": container.id, "access_binding_deltas": [{"action": "ADD", "access_binding": binding}]}
    assert not may("anybody")
    world.calls.clear()
    client.api(CONTAINER).UpdateAccessBindings(**change)
    assert may("anybody") and world.calls == ["sync_serverless"]
