"""The image registry of a rehearsal, with podman as its client and IAM tokens as its passwords."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
from datetime import datetime
from pathlib import Path

import jwt
import pytest
from sdk_calls import Caller
from server_clients import rehearsal

from rehearsal import environment, lifecycle, places, processes
from rehearsal.world import registry, shell

pytestmark = [pytest.mark.root, pytest.mark.slow]

NAME = "e2eregistry"
PLACE = places.Place(NAME)
NETNS = PLACE.netns("internet")
LOCAL = "localhost/e2e-registry"  # the image in podman's own store
PULLER, PUSHER = "container-registry.images.puller", "container-registry.images.pusher"
API = "containerregistry.v1"
AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A rehearsal of its own; nothing of it stays, and nothing in podman's store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGECRAFT_STATE", str(tmp_path_factory.mktemp("state")))
        lifecycle.down(PLACE)
        rehearsal("up", NAME)
        try:
            with Caller(environment.netns(NAME), environment.environment(NAME)) as calls:
                yield calls
        finally:
            lifecycle.down(PLACE)
            assert not lifecycle.leftovers(PLACE)


@pytest.fixture(scope="module")
def crp(cloud):
    """The registry's id."""
    return cloud.create(f"{API}.RegistryService", name="stage")["id"]


@pytest.fixture(scope="module")
def accounts(cloud, crp):
    """Accounts by what they may: nothing, pull here, push here, and edit everything of the folder."""
    roles = {"nobody": "", "puller": PULLER, "pusher": PUSHER}
    made = {name: cloud.create("iam.v1.ServiceAccountService", name=name)["id"] for name in roles}
    for name, role in roles.items():
        if role:
            bind(cloud, crp, made[name], role)
    return made


def bind(cloud: Caller, place: str, account: str, role: str, service: str = f"{API}.RegistryService") -> None:
    binding = {"role_id": role, "subject": {"id": account, "type": "serviceAccount"}}
    cloud(
        f"{service}.UpdateAccessBindings",
        resource_id=place,
        access_binding_deltas=[{"action": "ADD", "access_binding": binding}],
    )


def key_file(cloud: Caller, account: str) -> dict[str, str]:
    """A new authorized key, as the tools of the cloud keep it."""
    made = cloud("iam.v1.KeyService.Create", service_account_id=account)
    return {"id": made["key"]["id"], "service_account_id": account, "private_key": made["private_key"]}


@pytest.fixture(scope="module")
def client(cloud, accounts, tmp_path_factory):
    """Podman as one of the accounts, or with a password of its own: each login is a file of its own."""
    folder = tmp_path_factory.mktemp("logins")

    class Client:
        anonymous = folder / "anonymous"

        def token(self, who: str) -> str:
            key, now = key_file(cloud, accounts[who]), int(time.time())
            claims = {"iss": accounts[who], "aud": AUDIENCE, "iat": now, "exp": now + 600}
            private = key["private_key"][key["private_key"].index("-----BEGIN") :]
            signed = jwt.encode(claims, private, "PS256", headers={"kid": key["id"]})
            return cloud("iam.v1.IamTokenService.Create", jwt=signed)["iam_token"]

        def login(self, who: str, user: str = "iam", password: str | None = None) -> str:
            words = ("--authfile", folder / who, "--username", user, "--password-stdin")
            given = self.token(who) if password is None else password
            return self.podman("login", *words, "cr.yandex", stdin=given)

        def podman(self, verb: str, *words: str | Path, stdin: str | None = None) -> str:
            trust = PLACE.folder / "registry/trust"
            return shell.podman(verb, "--cert-dir", trust, *words, stdin=stdin, netns=NETNS)

        def push(self, who: str, image: str) -> str:
            """The digest of what was pushed."""
            file = folder / "digest"
            self.podman("push", "--quiet", "--authfile", folder / who, "--digestfile", file, LOCAL, image)
            return file.read_text()

        def pull(self, who: str, image: str) -> str:
            """The id of what was pulled."""
            return self.podman("pull", "--quiet", "--authfile", folder / who, image).strip()

    made = Client()
    made.anonymous.write_text("{}")
    for who in accounts:
        made.login(who)
    return made


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory):
    """A tiny image from nothing, with bytes that no other run had; its id."""
    layer = tmp_path_factory.mktemp("image") / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        entry, content = tarfile.TarInfo("hello"), os.urandom(2000)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    shell.podman("import", "--quiet", layer, LOCAL)
    yield shell.podman("image", "inspect", "--format", "{{.Id}}", LOCAL).strip()
    shell.podman("rmi", "--force", "--ignore", LOCAL)


@pytest.fixture(scope="module")
def pushed(client, crp):
    """An image in the registry: (its name, its digest)."""
    name = f"cr.yandex/{crp}/team/app"
    return name, client.push("pusher", f"{name}:v1")


def refused(call, *arguments: str) -> str:
    with pytest.raises(shell.CommandError) as error:
        call(*arguments)
    return str(error.value)


def test_what_is_pushed_is_pulled_by_its_digest(client, pushed, image):
    name, digest = pushed
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    reference = f"{name}@{digest}"
    try:
        assert client.pull("puller", reference) == image.removeprefix("sha256:")
        token = client.token("puller")
        assert registry.Server(PLACE).pull(token, reference) == image.removeprefix("sha256:")
    finally:
        shell.podman("rmi", "--force", "--ignore", reference)
    assert token not in (PLACE.folder / "logs/registry.log").read_text()


def test_who_is_not_known_is_refused(client, cloud, accounts, pushed):
    name, digest = pushed
    assert "invalid username/password" in refused(client.login, "stranger", "iam", "t1.of-nobody")
    assert "invalid username/password" in refused(client.login, "stranger", "robot", client.token("puller"))
    assert (
        "unauthorized"
        in refused(client.podman, "pull", "--quiet", "--authfile", client.anonymous, f"{name}@{digest}").lower()
    )


def test_who_may_not_is_refused(client, pushed):
    name, digest = pushed
    for call, who, image in (
        (client.pull, "nobody", f"{name}@{digest}"),
        (client.push, "nobody", f"{name}:other"),
        (client.push, "puller", f"{name}:other"),
        (client.push, "pusher", "cr.yandex/crpnowhere/app:v1"),
        (client.pull, "puller", "cr.yandex/crpnowhere/app:v1"),
    ):
        said = refused(call, who, image)
        assert "denied" in said or "unauthorized" in said, said


def test_an_image_that_does_not_exist(client, crp):
    assert "manifest unknown" in refused(client.pull, "puller", f"cr.yandex/{crp}/team/app:v999")


def test_a_key_file_logs_in_too(client, cloud, accounts, pushed):
    file = key_file(cloud, accounts["puller"])
    assert "Login Succeeded" in client.login("by-key", "json_key", json.dumps(file))
    name, digest = pushed
    client.pull("by-key", f"{name}@{digest}")
    shell.podman("rmi", "--force", "--ignore", f"{name}@{digest}")
    assert "invalid username/password" in refused(client.login, "by-key", "json_key", "{}")
    cloud("iam.v1.KeyService.Delete", key_id=file["id"])
    assert "invalid username/password" in refused(client.login, "by-key", "json_key", json.dumps(file))


def test_a_role_on_a_repository_is_for_that_one_only(client, cloud, crp, pushed, accounts):
    name, digest = pushed
    other = client.push("pusher", f"cr.yandex/{crp}/other:v1")
    repository = cloud(f"{API}.RepositoryService.GetByName", repository_name=f"{crp}/other")
    bind(cloud, repository["id"], accounts["nobody"], PULLER, f"{API}.RepositoryService")
    client.pull("nobody", f"cr.yandex/{crp}/other@{other}")
    shell.podman("rmi", "--force", "--ignore", f"cr.yandex/{crp}/other@{other}")
    said = refused(client.pull, "nobody", f"{name}@{digest}")
    assert "denied" in said or "unauthorized" in said, said


def test_networks_that_may_not_are_refused(client, cloud, crp, pushed):
    name, digest = pushed
    only = {"PUSH": "203.0.113.0/24", "PULL": str(places.INTERNET)}
    set_to = f"{API}.RegistryService.SetIpPermission"
    cloud(set_to, registry_id=crp, ip_permission=[{"action": action, "ip": ip} for action, ip in only.items()])
    try:
        client.pull("puller", f"{name}@{digest}")
        said = refused(client.push, "pusher", f"{name}:other")
        assert "denied" in said or "unauthorized" in said, said
    finally:
        shell.podman("rmi", "--force", "--ignore", f"{name}@{digest}")
        cloud(set_to, registry_id=crp, ip_permission=[])


def test_the_cloud_shows_what_is_there_and_deletes_it(client, cloud, crp, pushed):
    name, digest = pushed
    (image,) = cloud(f"{API}.ImageService.List", repository_name=f"{crp}/team/app")["images"]
    assert (image["name"], image["digest"], image["tags"]) == (f"{crp}/team/app", digest, ["v1"])
    assert int(image["compressed_size"]) == sum(int(layer["size"]) for layer in image["layers"]) > 2000
    assert 0 <= time.time() - datetime.fromisoformat(image["created_at"]).timestamp() < 600
    assert cloud(f"{API}.ImageService.Get", image_id=image["id"]) == image
    with pytest.raises(RuntimeError, match="is not empty: delete its images first"):
        cloud(f"{API}.RegistryService.Delete", registry_id=crp)
    cloud(f"{API}.ImageService.Delete", image_id=image["id"])
    assert not cloud(f"{API}.ImageService.List", repository_name=f"{crp}/team/app")
    assert "manifest unknown" in refused(client.pull, "puller", f"{name}@{digest}")


def test_it_comes_back_with_its_images(client, cloud, crp):
    """Killed and started again; then the registry goes with everything in it."""
    digest = client.push("pusher", f"cr.yandex/{crp}/kept:v1")
    processes.end({processes.running(PLACE, registry.DAEMON)}, patience=0)
    rehearsal("up", NAME)
    client.pull("puller", f"cr.yandex/{crp}/kept@{digest}")
    shell.podman("rmi", "--force", "--ignore", f"cr.yandex/{crp}/kept@{digest}")
    cloud(f"{API}.RegistryService.ForceDelete", registry_id=crp)
    said = refused(client.pull, "puller", f"cr.yandex/{crp}/kept@{digest}")
    assert "denied" in said or "unauthorized" in said, said
    assert not list((PLACE.folder / "registry/data/docker/registry/v2/repositories").glob(f"{crp}*"))
