"""What the front is told of the cloud's serverless containers and API gateways."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from described_cloud import Described
from google.protobuf.duration_pb2 import Duration
from yandex.cloud.serverless.apigateway.v1.apigateway_pb2 import ApiGateway, Connectivity, VariableInput
from yandex.cloud.serverless.containers.v1.container_pb2 import Container, MetadataOption, Revision
from yandex.cloud.vpc.v1.network_pb2 import Network
from yandex.cloud.vpc.v1.subnet_pb2 import Subnet

from rehearsal.cloud import tls
from rehearsal.cloud.openapi import INTEGRATION
from rehearsal.cloud.services.certificatemanager import CERTIFICATE
from rehearsal.places import Place
from rehearsal.serverless import served
from rehearsal.serverless.front import Front
from rehearsal.world import WorldError
from rehearsal.world.serverless import DOCUMENT, Serverless


class Cloud(Described):
    """With what a World reads beside messages."""

    def __init__(self, **messages: list) -> None:
        super().__init__(**messages)
        self.bound: dict[str, list[tuple[str, str, str]]] = {}
        self.secrets: dict[tuple[str, str], bytes] = {}
        self.kept: dict[str, dict] = {}
        # that an account without a role reads no secret is for tests/unit/emulator, where roles are
        self.identity = SimpleNamespace(bindings=lambda place: self.bound.get(place, []), authorize=lambda *whom: None)
        self.cloud_id = "cloud"

    def get(self, api: str, ident: str) -> SimpleNamespace:
        return SimpleNamespace(cloud_id="cloud", folder_id="folder")

    def facts(self, api: str, ident: str) -> dict:
        return self.kept.setdefault(ident, {})

    def secret(self, api: str, ident: str) -> bytes | None:
        return self.secrets.get((api, ident))


@pytest.fixture
def revision():
    made = Revision(id="rev", container_id="bba", status=Revision.ACTIVE, service_account_id="aje")
    made.resources.memory, made.resources.cores, made.resources.core_fraction = 256 << 20, 1, 50
    made.concurrency = 4
    made.execution_timeout.CopyFrom(Duration(seconds=3, nanos=500_000_000))
    made.scaling_policy.zone_instances_limit = 2
    return made


@pytest.fixture
def cloud(revision):
    made = Cloud(Container=[Container(id="bba", folder_id="folder")], Revision=[revision], ApiGateway=[])
    made.kept["rev"] = {"image": "abc"}
    return made


@pytest.fixture
def told(cloud, tmp_path, monkeypatch):
    """What the front reads after the World has written, after a change of gateways where some are given."""
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path))
    reader = served.Reader(Place("t"))

    def read(*gateways: ApiGateway) -> served.Served:
        world = Serverless(Place("t"))
        for gateway in gateways:
            world.put_gateway(cloud, gateway)
        world.sync(cloud, *gateways)
        return reader()

    return read


def test_a_revision_is_told_with_limits_over_all_zones(told, revision):
    assert msgspec.structs.asdict(told().containers["bba"].revision) == {
        "id": "rev",
        "container": "bba",
        "image": "abc",
        "memory": 256 << 20,
        "command": (),
        "args": (),
        "working_dir": "",
        "environment": {},
        "cores": 1,
        "core_fraction": 50,
        "concurrency": 4,
        "timeout": 3.5,
        "account": "aje",
        "provisioned": 0,
        "instances": 6,
        "requests": 0,
        "vpc": None,
    }
    revision.metadata_options.gce_http_endpoint = MetadataOption.DISABLED
    assert told().containers["bba"].revision.account == ""


def test_a_revision_in_a_network_is_told_its_way(told, cloud, revision):
    revision.connectivity.network_id = "net"
    assert told().containers["bba"].revision is None, "there is no subnet"
    cloud.messages["Network"] = [Network(id="net")]
    cloud.messages["Subnet"] = [Subnet(id="sub", network_id="net", v4_cidr_blocks=["10.1.0.0/24"])]
    assert told().containers["bba"].revision.vpc == served.Vpc("sc-t-vpc-net", "10.1.0.2", ("10.1.0.0/24",))


def test_an_obsolete_revision_is_not_served(told, revision):
    revision.status = Revision.OBSOLETE
    assert told().containers["bba"].revision is None


def test_secrets_become_variables_and_a_missing_key_is_named(told, cloud, revision, caplog):
    revision.image.environment["MODEL"] = "digits"
    revision.secrets.add(id="e6q", version_id="v1", key="token", environment_variable="API_TOKEN")
    cloud.secrets["lockbox.v1.Version", "v1"] = json.dumps({"token": {"text": "s3cret"}}).encode()
    assert told().containers["bba"].revision.environment == {"MODEL": "digits", "API_TOKEN": "s3cret"}
    revision.secrets[0].key = "other"
    assert told().containers["bba"].revision is None
    assert "secret e6q, version v1: it has no text entry other" in caplog.text


@pytest.mark.parametrize(
    ("place", "role", "subject", "caller", "may"),
    [
        ("bba", "serverless-containers.containerInvoker", "allUsers", "", True),
        ("bba", "serverless-containers.containerInvoker", "allAuthenticatedUsers", "", False),
        ("bba", "serverless-containers.containerInvoker", "allAuthenticatedUsers", "aje", True),
        ("folder", "serverless-containers.admin", "aje", "aje", True),
        ("cloud", "editor", "aje", "aje", True),
        ("cloud", "editor", "aje", "another", False),
        ("bba", "serverless-containers.viewer", "aje", "aje", False),
        ("elsewhere", "admin", "aje", "aje", False),
    ],
)
def test_who_may_invoke(told, cloud, place, role, subject, caller, may):
    cloud.bound[place] = [(role, "serviceAccount", subject)]
    assert told().containers["bba"].admits(caller) is may


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda revision: revision.mounts.add(), "mounts"),
        (lambda revision: revision.runtime.task.SetInParent(), "the command mode"),
    ],
    ids=["mounts", "task"],
)
def test_what_a_rehearsal_does_not_have_is_refused(cloud, revision, change, what):
    change(revision)
    with pytest.raises(WorldError, match=f"revision rev: a rehearsal has no {what}"):
        Serverless(Place("t")).put_revision(cloud, cloud.all("Container")[0], revision)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda gateway: gateway.variables["a"].MergeFrom(VariableInput(string_value="b")), "variables"),
        (lambda gateway: gateway.canary.SetInParent(), "canary releases"),
        (lambda gateway: gateway.connectivity.MergeFrom(Connectivity(network_id="net")), "networks"),
    ],
    ids=["variables", "canary", "network"],
)
def test_what_a_rehearsal_does_not_have_for_gateways_is_refused(told, change, what):
    gateway = ApiGateway(id="d5d")
    change(gateway)
    with pytest.raises(WorldError, match=f"gateway d5d: a rehearsal has no {what} for API gateways"):
        told(gateway)


def test_a_gateway_is_told_with_its_names_and_their_certificates(told, cloud):
    gateway = ApiGateway(id="d5d", domain="d5d.apigw.yandexcloud.net")
    gateway.attached_domains.add(domain="api.example.com", certificate_id="fpq", enabled=True)
    cloud.messages["ApiGateway"].append(gateway)
    cloud.kept["d5d"] = {DOCUMENT: "paths: {}"}
    with pytest.raises(WorldError, match=r"domain api\.example\.com: its certificate fpq is not issued yet"):
        told(gateway)
    assert told().gateways["d5d"].names[1] == "api.example.com", "the others are not held up"
    cloud.secrets[CERTIFICATE, "fpq"] = json.dumps({"chain": ["one\n", "two\n"], "private_key": "key\n"}).encode()
    seen = told()
    assert seen.gateways["d5d"].names == ("d5d.apigw.yandexcloud.net", "api.example.com")
    assert Path(seen.certificates["api.example.com"]).read_text() == "one\ntwo\nkey\n", "a pair is replaced at once"
    del gateway.attached_domains[:]
    assert not told().certificates and not Path(seen.certificates["api.example.com"]).exists(), "its key goes with it"


def serial(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> int:
    """The number of the certificate that a visitor of a name is shown; the visit fails where it is not good."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = client.wrap_bio(back, there, server_hostname=name), server.wrap_bio(there, back, server_side=True)
    for side in (ours, theirs) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return int(ours.getpeercert()["serialNumber"], 16)


def test_a_certificate_that_is_replaced_is_shown_with_its_own_key(told, cloud):
    gateway = ApiGateway(id="d5d")
    gateway.attached_domains.add(domain="api.example.com", certificate_id="fpq", enabled=True)
    cloud.messages["ApiGateway"].append(gateway)
    cloud.kept["d5d"] = {DOCUMENT: "paths: {}"}
    place, shown, files = Place("t"), [], set()
    front = Front(place)._own_context()
    client = ssl.create_default_context(cafile=tls.authority(place.cloud))
    for label in ("one", "two"):
        chain, key = (path.read_text() for path in tls.issue(place.cloud, ["api.example.com"], label=label))
        cloud.secrets[CERTIFICATE, "fpq"] = json.dumps({"chain": [chain], "private_key": key}).encode()
        files.add(told().certificates["api.example.com"])
        shown.append(serial(front, client, "api.example.com"))
    assert shown[0] != shown[1] and len(files) == 1, "the chain and the key are replaced in one step"


def test_a_gateway_is_told_with_its_operations_unless_it_is_stopped(told, cloud):
    gateway = ApiGateway(id="d5d", status=ApiGateway.ACTIVE)
    cloud.messages["ApiGateway"].append(gateway)
    operation = {INTEGRATION: {"type": "serverless_containers", "container_id": "bba"}}
    document = {"x-yc-apigateway": {"service_account_id": "aje"}, "paths": {"/q": {"post": operation}}}
    cloud.kept["d5d"] = {DOCUMENT: json.dumps(document)}
    inside = {"type": "serverless_containers", "container_id": "bba", "service_account_id": "aje"}
    assert told().gateways["d5d"].routes == (served.Route("/q", "post", inside),)
    stopped = ApiGateway(id="d5d", status=ApiGateway.STOPPED)
    assert not told(stopped).gateways
