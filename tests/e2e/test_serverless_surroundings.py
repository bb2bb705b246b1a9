"""Serverless containers in their surroundings: the cloud's API, API gateways, and what instances reach."""

from __future__ import annotations

import functools
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sdk_calls import Caller
from serverless_stage import APPLICATION, INVOKER, MB, PLACE, staged

from rehearsal import environment
from rehearsal.cloud.openapi import INTEGRATION
from rehearsal.serverless import network
from rehearsal.world import images, registry, shell

pytestmark = [pytest.mark.root, pytest.mark.slow]
CONTAINERS, GATEWAYS = "serverless.containers.v1", "serverless.apigateway.v1"


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with staged(PLACE, tmp_path_factory.mktemp("serverless")) as made:
        yield made


def test_an_instance_reaches_what_it_should(stage):
    container = stage.container("reach")
    stage.deploy(container, "reach", account="aje-runtime", concurrency=4)

    def fetch(url: str, **more: str) -> dict:
        query = "".join(f"&{name}={value}" for name, value in more.items())
        return stage.ask(container, f"/fetch?url={url}{query}").said

    assert fetch("https://storage.yandexcloud.net/")["status"] == 403, "its certificate is trusted, its access not"
    token = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
    granted = json.loads(fetch(token, **{"x-Metadata-Flavor": "Google"})["answer"])["access_token"]
    assert stage.identity.principal("", {"authorization": f"Bearer {granted}"}) == "aje-runtime"
    assert fetch(f"https://{container}.containers.yandexcloud.net/")["status"] == 200
    other = stage.container("other")
    stage.deploy(other, "neighbour")
    there = network.address_of(PLACE, stage.instances("neighbour")[0])
    assert fetch(f"http://{there}:8080/")["status"] == 0
    assert fetch(f"http://{network.GATEWAY}:443/")["status"] == 0
    stage.delete(other)


def test_a_gateway_leads_by_path_and_method(stage):
    container = stage.container("behind", public=False)
    stage.deploy(container, "behind", concurrency=4)
    stage.allow(container, "aje-gateway")
    inside = {"type": "serverless_containers", "container_id": container, "service_account_id": "aje-gateway"}
    out = {
        "type": "http",
        "url": f"https://{container}.containers.yandexcloud.net/sent",
        "serviceAccountId": "aje-gateway",
    }
    static = {"type": "dummy", "http_code": 202, "content": {"*": "this is {name}"}}
    gateway = stage.gateway(
        "paths",
        {
            "/hello/{name}": {"get": {"x-yc-apigateway-integration": static}},
            "/out": {"get": {"x-yc-apigateway-integration": out}},
            "/refused": {"get": {"x-yc-apigateway-integration": {**inside, "service_account_id": "aje-other"}}},
            "/v1/{proxy+}": {"x-yc-apigateway-any-method": {"x-yc-apigateway-integration": inside}},
        },
    )
    greeting = stage.ask(gateway, "/hello/world")
    assert (greeting.status, greeting.text) == (202, "this is world")
    assert stage.ask(gateway, "/hello/world", method="POST").status == 405
    assert stage.ask(gateway, "/nowhere").status == 404
    answer = stage.ask(gateway, "/v1/sent?a=1", method="POST", body=b"12345")
    assert answer.said["path"] == "/v1/sent?a=1" and answer.said["size"] == 5
    assert stage.ask(gateway, "/out").said["headers"]["host"] == f"{container}.containers.yandexcloud.net"
    assert stage.ask(gateway, "/refused").status == 403
    assert stage.ask("d5dnothing.apigw.yandexcloud.net").status == 404
    stage.delete(container)


@pytest.fixture(scope="module")
def image(stage):
    """The machines' base image, pushed to a registry from which everybody may pull; its name, with the digest."""
    with Caller(environment.netns(PLACE.name), environment.environment(PLACE.name)) as cloud:
        crp = cloud.create("containerregistry.v1.RegistryService", name="images")["id"]
    stage.identity.bind(crp, "container-registry.images.puller", "system", "allUsers")
    stage.identity.bind(crp, "container-registry.images.pusher", "serviceAccount", "aje-pusher")
    name, server = f"cr.yandex/{crp}/application", registry.Server(PLACE)
    with server.login(stage.identity.grant("aje-pusher")[0]) as options:
        words = ("--quiet", "--compression-format", "zstd", images.reference(images.DEFAULT), f"{name}:1")
        shell.podman("push", *options, *words, netns=PLACE.netns("internet"))
    (pushed,) = server.images(crp)
    yield f"{name}@{pushed.digest}"
    shell.podman("rmi", "--force", "--ignore", f"{name}@{pushed.digest}")


def deployed(cloud: Caller, container: str, image: str, revision: str, program: str = APPLICATION) -> dict:
    """A revision of a program in an image, as the API makes it. Raises RuntimeError with what the API said."""
    spec = {"image_url": image, "command": {"command": ["python3", "-u", "-c"]}, "args": {"args": [program]}}
    return cloud(
        f"{CONTAINERS}.ContainerService.DeployRevision",
        container_id=container,
        image_spec={**spec, "environment": {"REVISION": revision}},
        resources={"memory": 128 * MB},
    )


def test_an_image_that_is_not_there_is_named_and_what_serves_goes_on(stage, image):
    name = image.partition("@")[0]
    with Caller(environment.netns(PLACE.name), environment.environment(PLACE.name)) as cloud:
        container = cloud.create(f"{CONTAINERS}.ContainerService", name="missing")["id"]
        stage.identity.bind(container, INVOKER, "system", "allUsers")
        deployed(cloud, container, image, "there")
        for reference, why in (
            (f"{name}:v999", "manifest unknown"),
            (f"{name}@sha256:{'0' * 64}", "manifest unknown"),
            (f"{name}-of-nobody:1", "name unknown|manifest unknown"),
            ("cr.yandex/crpnowhere/application:1", "denied|unauthorized"),
        ):
            with pytest.raises(RuntimeError, match=f"(?s)the image {re.escape(reference)} cannot be fetched.*({why})"):
                deployed(cloud, container, reference, "not there")
            assert stage.ask(container).said["revision"] == "there"
        cloud(f"{CONTAINERS}.ContainerService.Delete", container_id=container)


def test_the_api_deploys_goes_back_and_keeps_what_serves(stage, image):
    with Caller(environment.netns(PLACE.name), environment.environment(PLACE.name)) as cloud:
        made = cloud.create(f"{CONTAINERS}.ContainerService", name="application")
        container, host = made["id"], made["url"].removeprefix("https://").rstrip("/")

        deploy = functools.partial(deployed, cloud, container, image)
        first = deploy("first")
        assert first["image"]["image_digest"] == image.partition("@")[2]
        assert stage.ask(host).status == 403
        binding = {"role_id": INVOKER, "subject": {"id": "allUsers", "type": "system"}}
        cloud(f"{CONTAINERS}.ContainerService.SetAccessBindings", resource_id=container, access_bindings=[binding])
        assert stage.ask(host).said["revision"] == "first"
        deploy("second")
        assert stage.ask(host).said["revision"] == "second"
        with pytest.raises(RuntimeError, match="(?s)exit status 3.*no model"):
            deploy("third", "print('no model'); raise SystemExit(3)")
        assert stage.ask(host).said["revision"] == "second"
        began = time.monotonic()
        cloud(f"{CONTAINERS}.ContainerService.Rollback", container_id=container, revision_id=first["id"])
        assert stage.ask(host).said["revision"] == "first" and time.monotonic() - began < 10

        operation = {
            INTEGRATION: {"type": "serverless_containers", "container_id": container},
            "parameters": [{"name": "rest", "in": "path", "required": True, "schema": {"type": "string"}}],
            "responses": {"200": {"description": "what the application says"}},
        }
        document = {"openapi": "3.0.0", "info": {"title": "t", "version": "1"}}
        document["paths"] = {"/{rest+}": {"get": operation}}
        gateway = cloud.create(f"{GATEWAYS}.ApiGatewayService", name="application", openapi_spec=json.dumps(document))
        assert stage.ask(gateway["domain"], "/a/b").said["path"] == "/a/b"
        cloud(f"{GATEWAYS}.ApiGatewayService.Delete", api_gateway_id=gateway["id"])
        assert stage.ask(gateway["domain"], "/a/b").status == 404
        cloud(f"{CONTAINERS}.ContainerService.Delete", container_id=container)
        assert stage.ask(host).status == 404


@pytest.fixture
def network_of_machines(stage):
    """A VPC network with a name in a private zone, and a server at its address; its id, and the server's name."""
    with Caller(environment.netns(PLACE.name), environment.environment(PLACE.name)) as cloud:
        network = cloud.create("vpc.v1.NetworkService", name="machines")["id"]
        subnet = {"network_id": network, "zone_id": "ru-central1-a", "v4_cidr_blocks": ["10.77.0.0/24"]}
        cloud.create("vpc.v1.SubnetService", name="machines", **subnet)
        zone = cloud.create(
            "dns.v1.DnsZoneService",
            name="machines",
            zone="machines.internal.",
            private_visibility={"network_ids": [network]},
        )["id"]
        record = {"name": "server", "type": "A", "ttl": 60, "data": ["10.77.0.1"]}
        cloud("dns.v1.DnsZoneService.UpsertRecordSets", dns_zone_id=zone, replacements=[record])
        yield cloud, network, "server.machines.internal"


def test_an_instance_in_a_network_reaches_it_by_name(stage, image, network_of_machines):
    cloud, network, name = network_of_machines
    container = cloud.create(f"{CONTAINERS}.ContainerService", name="inside")["id"]
    stage.identity.bind(container, INVOKER, "system", "allUsers")
    spec = {"image_url": image, "command": {"command": ["python3", "-u", "-c"]}, "args": {"args": [APPLICATION]}}
    cloud(
        f"{CONTAINERS}.ContainerService.DeployRevision",
        container_id=container,
        image_spec={**spec, "environment": {"REVISION": "inside"}},
        resources={"memory": 128 * MB},
        connectivity={"network_id": network},
    )
    # The first address of a subnet is its router's: what listens there stands for a machine, without starting one.
    with shell.entered(PLACE.netns(f"vpc-{network}")):
        listening = socket.create_server(("10.77.0.1", 80))
    shell.nft(PLACE.netns(f"vpc-{network}"), "insert rule ip stagecraft input tcp dport 80 accept")
    with listening, ThreadPoolExecutor(1) as server:
        greeted = server.submit(lambda: listening.accept()[0].sendall(b"hello from inside"))
        answer = stage.ask(container, f"/resolve?name={name}")
        greeted.result(5)
    assert answer.said["greeting"] == "hello from inside" and answer.said["from"].startswith("198.19.")
