"""What Container Registry says of images, and to whom it gives tokens. The images themselves are in the tests of whole
rehearsals."""

from __future__ import annotations

import base64
import json

import grpc
import jwt
import pytest
import requests
from cloud_client import refused
from cryptography import x509

from rehearsal.cloud import registry_tokens
from rehearsal.places import REGISTRY_NAME
from rehearsal.world import StoredImage

Code = grpc.StatusCode
API = "containerregistry.v1"
PULLER, PUSHER = "container-registry.images.puller", "container-registry.images.pusher"


@pytest.fixture
def registry(client):
    return client.api(f"{API}.Registry").Create(folder_id=client.folder, name="stage")


@pytest.fixture
def account(client):
    return client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="robot")


@pytest.fixture
def ask(emulator, registry):
    """Ask for a token with a name and a password; the status, and what the token allows or what was said."""

    def ask(user: str, password: str, scope: str = "repository:{}/app:pull,push") -> tuple[int, object]:
        answer = requests.get(
            f"https://{emulator.rest.address}{registry_tokens.PATH}",
            params={"service": REGISTRY_NAME, "scope": scope.format(registry.id)},
            auth=(user, password) if user else None,
            verify=emulator.env["YC_ROOT_CERTIFICATES"],
            timeout=10,
        )
        if answer.status_code != 200:
            return answer.status_code, answer.json()["message"]
        certificate, _ = registry_tokens.signer(emulator.folder)
        key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        claims = jwt.decode(answer.json()["token"], key, ["ES256"], audience="cr.yandex", issuer="cr.yandex")
        return 200, {row["name"].removeprefix(registry.id): row["actions"] for row in claims["access"]}

    return ask


ROLES = {
    "": [],
    "container-registry.viewer": [],
    "storage.admin": [],
    PULLER: ["pull"],
    "container-registry.images.scanner": ["pull"],
    PUSHER: ["pull", "push"],
    "container-registry.editor": ["pull", "push"],
    "editor": ["pull", "push"],
}


@pytest.mark.parametrize("on", ["registry", "folder"])
def test_a_token_allows_what_a_role_allows(emulator, client, registry, account, ask, on):
    identity, place = emulator.cloud.identity, registry.id if on == "registry" else client.folder
    token, _ = identity.grant(account.id)
    for role, actions in ROLES.items():
        identity.bind(place, role, "serviceAccount", account.id)
        assert ask("iam", token) == (200, {"/app": actions} if actions else {}), role
        assert ask("iam", token, "repository:crpnowhere/app:pull") == (200, {})
        assert ask("iam", token, "registry:catalog:*") == (200, {})
        identity.unbind(place, role, "serviceAccount", account.id)


def test_who_is_not_who_they_say(emulator, account, ask, monkeypatch):
    identity = emulator.cloud.identity
    assert ask("iam", "t1.invented") == (401, "The token is invalid")
    assert "no way to log in" in ask("robot", identity.grant(account.id)[0])[1]
    assert "no file of an authorized key" in ask("json_key", "{}")[1]
    assert "OAuth token is invalid" in ask("oauth", "y0_wrong")[1]
    monkeypatch.setattr(identity, "token_life", -1)
    assert ask("iam", identity.grant(account.id)[0]) == (401, "The token has expired")


def test_a_key_file_is_checked_against_the_key(emulator, client, account, registry, ask):
    emulator.cloud.identity.bind(registry.id, PULLER, "serviceAccount", account.id)
    keys = client.api("iam.v1.Key")
    first, second = (keys.Create(service_account_id=account.id) for _ in range(2))

    def file(key, private):
        return json.dumps({"id": key.key.id, "service_account_id": account.id, "private_key": private})

    assert ask("json_key", file(first, first.private_key)) == (200, {"/app": ["pull"]})
    assert ask("json_key", file(first, second.private_key))[0] == 401
    keys.Delete(key_id=first.key.id)
    assert "does not exist" in ask("json_key", file(first, first.private_key))[1]


def test_a_public_registry(emulator, registry, account, ask):
    identity = emulator.cloud.identity
    assert ask("", "") == (200, {})
    identity.bind(registry.id, PULLER, "system", "allAuthenticatedUsers")
    assert ask("", "") == (200, {}) and ask("iam", identity.grant(account.id)[0]) == (200, {"/app": ["pull"]})
    identity.bind(registry.id, PULLER, "system", "allUsers")
    assert ask("", "") == (200, {"/app": ["pull"]})


def test_only_from_these_networks(emulator, client, registry, account, ask):
    emulator.cloud.identity.bind(registry.id, PUSHER, "serviceAccount", account.id)
    token, registries = emulator.cloud.identity.grant(account.id)[0], client.api(f"{API}.Registry")
    rows = [{"action": "PULL", "ip": "127.0.0.0/8"}, {"action": "PUSH", "ip": "10.0.0.0/8"}]
    registries.SetIpPermission(registry_id=registry.id, ip_permission=rows)
    assert ask("iam", token) == (200, {"/app": ["pull"]})
    delta = {"action": "ADD", "ip_permission": {"action": "PUSH", "ip": "127.0.0.1"}}
    registries.UpdateIpPermission(registry_id=registry.id, ip_permission_deltas=[delta])
    assert ask("iam", token) == (200, {"/app": ["pull", "push"]})
    registries.UpdateIpPermission(registry_id=registry.id, ip_permission_deltas=[{**delta, "action": "REMOVE"}])
    assert len(registries.ListIpPermission(registry_id=registry.id).permissions) == 2


# ---- images ----
def stored(registry, name: str, number: int, *tags: str) -> StoredImage:
    digest = f"sha256:{number:064x}"
    return StoredImage(f"{registry.id}/{name}", digest, tags, 30, 1e9 + number, (digest, 10), (("sha256:a", 30),))


@pytest.fixture
def images(client, world, registry):
    """Three images of two repositories; deleted ones are noted and gone."""
    held = [
        stored(registry, "app", 1, "v1"),
        stored(registry, "app", 2),
        stored(registry, "team/tool", 3, "v1", "main"),
    ]

    def delete(cloud, image):
        world._note(f"delete_image {image.digest}")
        held[:] = [one for one in held if one.digest != image.digest]

    world.images = lambda cloud, asked: [one for one in held if one.repository.startswith(f"{asked.id}/")]
    world.delete_image = delete
    world.delete_registry = lambda cloud, asked: world._note(f"delete_registry {asked.name}")
    return client.api(f"{API}.Image")


def test_images_as_the_server_holds_them(client, images, registry):
    found = images.List(registry_id=registry.id).images
    assert [(i.name.partition("/")[2], list(i.tags), i.compressed_size) for i in found] == [
        ("app", ["v1"], 30),
        ("app", [], 30),
        ("team/tool", ["v1", "main"], 30),
    ]
    assert images.Get(image_id=found[2].id) == found[2] and len({i.id for i in found}) == 3
    assert list(images.List(folder_id=client.folder).images) == list(found)
    assert len(images.List(repository_name=f"{registry.id}/app").images) == 2
    first = images.List(registry_id=registry.id, page_size=2)
    assert len(first.images) == 2
    assert len(images.List(registry_id=registry.id, page_size=2, page_token=first.next_page_token).images) == 1
    refused(Code.NOT_FOUND, lambda: images.List(registry_id="crpnowhere"), "Registry")
    repositories = client.api(f"{API}.Repository")
    assert [r.name for r in repositories.List(registry_id=registry.id).repositories] == [
        f"{registry.id}/app",
        f"{registry.id}/team/tool",
    ]
    assert repositories.GetByName(repository_name=f"{registry.id}/app").id


def test_deleting(client, world, images, registry):
    registries, repositories = client.api(f"{API}.Registry"), client.api(f"{API}.Repository")
    refused(Code.FAILED_PRECONDITION, lambda: registries.Delete(registry_id=registry.id), "stage is not empty")
    app = repositories.GetByName(repository_name=f"{registry.id}/app")
    refused(Code.FAILED_PRECONDITION, lambda: repositories.Delete(repository_id=app.id), "is not empty")
    first, second, _ = images.List(registry_id=registry.id).images
    world.broken.add("delete_image")
    assert refused(Code.INTERNAL, lambda: images.Delete(image_id=first.id)).operation
    assert images.Get(image_id=first.id) == first
    world.broken.clear()
    for image in (first, second):
        images.Delete(image_id=image.id)
        refused(Code.NOT_FOUND, lambda image=image: images.Get(image_id=image.id))
    repositories.Delete(repository_id=app.id)
    registries.ForceDelete(registry_id=registry.id)
    assert world.calls[-1] == "delete_registry stage"
    refused(Code.NOT_FOUND, lambda: registries.Get(registry_id=registry.id))
    assert not client.api(f"{API}.Repository").List(folder_id=client.folder).repositories


def test_a_pusher_deletes_images_and_a_puller_does_not(emulator, client, images, registry, account):
    identity = emulator.cloud.identity
    robot = type(client)(emulator.env, iam_token=identity.grant(account.id)[0]).api(f"{API}.Image")
    image = images.List(registry_id=registry.id).images[0]
    identity.bind(registry.id, PULLER, "serviceAccount", account.id)
    assert robot.Get(image_id=image.id) == image
    refused(Code.PERMISSION_DENIED, lambda: robot.Delete(image_id=image.id), "container-registry.")
    identity.bind(registry.id, PUSHER, "serviceAccount", account.id)
    robot.Delete(image_id=image.id)


def test_policies(client, registry):
    repositories, policies = client.api(f"{API}.Repository"), client.api(f"{API}.LifecyclePolicy")
    app = repositories.Upsert(name=f"{registry.id}/app")
    assert repositories.Upsert(name=f"{registry.id}/app").id == app.id
    refused(Code.NOT_FOUND, lambda: repositories.Upsert(name="crpnowhere/app"), "Registry")
    rule = {"untagged": True, "expire_period": {"seconds": 86400}}
    first = policies.Create(repository_id=app.id, name="first", status="ACTIVE", rules=[rule])
    values = {"repository_id": app.id, "name": "second", "rules": [rule]}
    refused(Code.ALREADY_EXISTS, lambda: policies.Create(**values, status="ACTIVE"), "active policy already: first")
    second = policies.Create(**values, status="DISABLED")
    assert (first.status, second.status) == (first.ACTIVE, first.DISABLED)
    assert len(policies.List(registry_id=registry.id).lifecycle_policies) == 2
    assert len(policies.List(repository_id=app.id).lifecycle_policies) == 2
    scans = client.api(f"{API}.ScanPolicy")
    scans.Create(registry_id=registry.id, rules={"push_rule": {"repository_prefixes": ["*"]}})
    refused(Code.ALREADY_EXISTS, lambda: scans.Create(registry_id=registry.id), "has a scan policy already")


def test_the_key_has_the_name_that_the_server_gives_it(emulator):
    """240 bits in twelve groups, as docker-registry's libtrust has them."""
    signed = registry_tokens.token(emulator.folder, "robot", [])
    name = jwt.get_unverified_header(signed)["kid"]
    groups = name.split(":")
    assert [len(group) for group in groups] == [4] * 12
    assert len(base64.b32decode(name.replace(":", ""))) == 30
