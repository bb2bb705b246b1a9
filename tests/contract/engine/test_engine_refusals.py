"""What the user got wrong: each is one readable message, before anything is done where it can be known before."""

from __future__ import annotations

import http.server
import json
import re
import threading
from pathlib import Path

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.yandex import Session
from engine_runs import VARIABLES, Engine

SUBNET = {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"]}
NOBODY = "127.0.0.1:9"  # the discard port: no metadata service is there


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for variable in (*VARIABLES.values(), "YC_TOKEN", "YC_IAM_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("YC_METADATA_ADDR", NOBODY)


# ---- declarations ----
@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ([{"vpc_netwrok": {"name": "a"}}], "entry 1: there is no resource vpc_netwrok (did you mean vpc_network?)"),
        ([{"vpc_network": {"name": "a"}, "vpc_subnet": SUBNET}], "entry 1: each entry is one kind of resource"),
        (
            [{"vpc_subnet": {**SUBNET, "netwrok": "b"}}],
            "vpc_subnet a (entry 1): there is no option netwrok (did you mean network?)",
        ),
        ([{"vpc_network": {}}], "vpc_network (entry 1): missing required arguments: name"),
        (
            [{"vpc_network": {"name": "a"}}, {"vpc_network": {"name": "b", "renamed_from": "a"}}],
            "vpc_network b: renamed_from: a is declared too, as entry 1: take one of the two out",
        ),
        ([{"vpc_subnet": SUBNET}, {"vpc_subnet": SUBNET}], "vpc_subnet a is declared twice, as entry 1 and entry 2"),
        ([{"compute_instance": {"name": "a", "memory": "lots"}}], "compute_instance a (entry 1): argument 'memory'"),
        (
            [{"vpc_subnet": {**SUBNET, "cidr": ["10.10.1.0/24", "10.10.2.0/99"]}}],
            "vpc_subnet a (entry 1): cidr: '10.10.2.0/99' is not a network such as 10.10.1.0/24",
        ),
        (
            [
                {
                    "vpc_security_group": {
                        "name": "g",
                        "network": "main",
                        "rules": [{"direction": "ingress", "cidr": ["anywhere"], "ports": {"from": 22, "to": 70000}}],
                    }
                }
            ],
            "rules.ports.to: 70000 is not a port, from 0 to 65535\n- vpc_security_group g (entry 1): rules.cidr: 'anywhere'",
        ),
    ],
)
def test_declarations_that_cannot_be_right(engine, declared, says):
    with pytest.raises(Fail) as error:
        engine.stack(declared)
    assert says in str(error.value)


# ---- references ----
CREATE = "correct the name, declare it in the same list, or create it"
LINE = rf"- (\S+ \S+: \S+): there is no (\S+ \S+)(?: \((.*?)\))?: {CREATE}"


@pytest.mark.parametrize("check", [False, True])
def test_a_name_that_nothing_has(engine, check):
    """All of them in one message, before anything is made; what is near is found in the list and in the cloud."""
    there = [
        {"vpc_network": {"name": "main"}},
        {"vpc_network": {"name": "other"}},
        {"iam_service_account": {"name": "robot"}},
    ]
    engine.build(there)
    machine = {
        "name": "m",
        "image": "debain-13",
        "zone": "ru-central1-a",
        "cores": 2,
        "memory": "2GB",
        "disk_size": "10GB",
    }
    declared = [
        {"vpc_gateway": {"name": "egress"}},
        {"vpc_security_group": {"name": "elsewhere", "network": "main"}},
        {"vpc_subnet": {**SUBNET, "network": "mian"}},
        {"iam_folder_binding": {"service_account": "robot-2", "role": "viewer"}},
        {"compute_instance": {**machine, "network_interfaces": [{"subnet": "b", "security_groups": ["elsewere"]}]}},
        {"postgresql_user": {"cluster": "pg", "name": "app", "password_secret": {"secret": "database", "key": "a"}}},
        {"postgresql_database": {"cluster": "pg", "name": "data", "owner": "ap"}},
    ]
    before = len(engine.calls())
    try:
        with pytest.raises(Fail) as error:
            engine.stack(declared, check=check)
        assert len(engine.calls()) == before
        first, *said = str(error.value).splitlines()
        assert first == "8 things are wrong in the declarations; nothing was touched:"
        assert [re.fullmatch(LINE, line).groups() for line in said] == [
            ("vpc_subnet a: network", "vpc_network mian", "did you mean main?"),
            (
                "iam_folder_binding robot-2/viewer: service_account",
                "iam_service_account robot-2",
                "did you mean robot?",
            ),
            ("compute_instance m: image", "compute_image debain-13", "did you mean debian-13?"),
            ("compute_instance m: network_interfaces.subnet", "vpc_subnet b", "there are: a"),
            (
                "compute_instance m: network_interfaces.security_groups",
                "vpc_security_group elsewere",
                "did you mean elsewhere?",
            ),
            ("postgresql_user pg/app: cluster", "postgresql_cluster pg", None),
            ("postgresql_user pg/app: password_secret.secret", "lockbox_secret database", None),
            ("postgresql_database pg/data: cluster", "postgresql_cluster pg", None),
        ]
    finally:
        engine.demolish(there)


def test_one_name_that_nothing_has(engine):
    with pytest.raises(Fail) as error:
        engine.stack([{"vpc_subnet": SUBNET}])
    assert str(error.value) == f"vpc_subnet a: network: there is no vpc_network main: {CREATE}. Nothing was touched"
    with pytest.raises(Fail, match="^vpc_subnet a: network: there is no vpc_network main: "):
        engine.apply("vpc_subnet", SUBNET)
    planned = engine.apply("vpc_subnet", SUBNET, check=True)
    assert planned["changed"] and planned["missing"] == ["vpc_network main"]


def test_what_is_in_the_cloud_is_asked_for_once_and_may_be_named_by_its_id(engine):
    there = [{"vpc_network": {"name": "main"}}]
    engine.build(there)
    ident = engine.apply("vpc_network", {"name": "main"}, state="info")["network"]["id"]
    by_id = {"vpc_subnet": {**SUBNET, "name": "b", "network": ident, "cidr": ["10.10.2.0/24"]}}
    declared = [{"vpc_subnet": SUBNET}, {"vpc_subnet": {**SUBNET, "name": "c", "cidr": ["10.10.3.0/24"]}}]
    fresh = Engine.at(engine.cloud)
    try:
        before = len(asked(engine, "NetworkService.List"))
        fresh.build(declared)
        assert len(asked(engine, "NetworkService.List")) == before + 1
        engine.build([by_id])
        engine.build([{"vpc_subnet": {**by_id["vpc_subnet"], "network": "main"}}])
        assert not any(r["changed"] for r in engine.stack([by_id]))
        with pytest.raises(Fail, match=f"there is no vpc_network {ident[:-1]}. "):
            engine.stack([{"vpc_subnet": {**SUBNET, "network": ident[:-1] + ("0" if ident[-1] != "0" else "1")}}])
    finally:
        engine.demolish([*declared, by_id, *there])


def asked(engine: Engine, ending: str) -> list[dict]:
    return [entry for entry in engine.cloud.journal.entries() if entry["method"].endswith(ending)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"zone": "ru-central1-z"},
            r"vpc_subnet b: vpc\.v1\.SubnetService\.Create: \w+: .*ru-central1-z.* What to do: ",
        ),
        (
            {"cidr": ["10.10.1.128/25"]},
            r"vpc_subnet b: vpc\.v1\.SubnetService\.Create: \w+: .*10\.10\.1\.\d+/.*: choose a range that is free",
        ),
    ],
)
def test_what_the_cloud_does_not_take(engine, change, says):
    there = [{"vpc_network": {"name": "main"}}, {"vpc_subnet": SUBNET}]
    engine.build(there)
    try:
        declared = {**SUBNET, "name": "b", "cidr": ["10.10.2.0/24"], **change}
        with pytest.raises(Fail, match=says):
            engine.apply("vpc_subnet", declared)
        assert not engine.apply("vpc_subnet", {"name": "b"}, state="info")["exists"]
    finally:
        engine.demolish(there)


def test_replacing_checks_everything_before_it_deletes(engine):
    there = [{"vpc_network": {"name": "main"}}, {"vpc_network": {"name": "other"}}, {"vpc_subnet": SUBNET}]
    engine.build(there)
    try:
        before = engine.apply("vpc_subnet", {"name": "a"}, state="info")["subnet"]["id"]
        with pytest.raises(Fail, match="it would be replaced; to create it set: network, cidr"):
            engine.apply("vpc_subnet", {"name": "a", "zone": "ru-central1-b", "replace": True})
        assert engine.apply("vpc_subnet", {"name": "a"}, state="info")["subnet"]["id"] == before
        with pytest.raises(Fail, match="network cannot be changed from 'main' to 'other'"):
            Engine.at(engine.cloud).apply("vpc_subnet", {"name": "a", "network": "other"})
        moved = {**SUBNET, "zone": "ru-central1-b", "replace": True}
        assert engine.apply("vpc_subnet", moved, check=True)["changed"]
        after = engine.apply("vpc_subnet", moved)["subnet"]
        assert after["id"] != before and after["zone_id"] == "ru-central1-b"
    finally:
        engine.demolish(there)


# ---- credentials: known before any call ----
def refused(**options: object) -> str:
    with pytest.raises(Fail) as error:
        Session.from_options(options)
    return str(error.value)


def test_no_credentials():
    said = refused()
    assert said.startswith("no credentials: set YC_SERVICE_ACCOUNT_KEY_FILE") and NOBODY in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file or directory"),
        ("not json", "is not a service account key file (it is not JSON)"),
        ('{"id": "a"}', "it has no service_account_id, private_key"),
        (
            '{"id": "a", "service_account_id": "b", "private_key": "cut"}',
            "its private_key is not a private key in PEM form",
        ),
    ],
)
def test_key_files(tmp_path, monkeypatch, content, says):
    file = tmp_path / "key.json"
    if content:
        file.write_text(content)
    assert says in refused(service_account_key_file=str(file))
    monkeypatch.setenv("YC_SERVICE_ACCOUNT_KEY_FILE", str(file))
    said = refused()
    assert says in said and said.startswith("the environment variable YC_SERVICE_ACCOUNT_KEY_FILE")


def test_contradictions(tmp_path):
    assert "more than one kind" in refused(iam_token="a", token="b")
    assert "auth: token needs the option token or" in refused(auth="token")
    assert "auth: metadata: the metadata service at" in refused(auth="metadata")
    assert "holds no certificate" in refused(iam_token="a", root_certificates=__file__)
    assert "cannot be read" in refused(iam_token="a", root_certificates=str(tmp_path / "none.pem"))


def test_a_machine_without_a_service_account(cloud, monkeypatch):
    """Its metadata service answers, and has no token: what is lacking are credentials."""
    monkeypatch.setenv("YC_METADATA_ADDR", metadata_service("", cloud))
    said = refused()
    assert said.startswith("no credentials: set YC_SERVICE_ACCOUNT_KEY_FILE")
    assert "gave no token (HTTP 404): has this machine a service account?" in said
    assert refused(auth="metadata").startswith("auth: metadata: the metadata service at")


def test_no_folder(cloud):
    with pytest.raises(Fail, match="vpc_network main: no folder: set YC_FOLDER_ID or the option folder"):
        Engine.at(cloud, folder=None).apply("vpc_network", {"name": "main"})


# ---- credentials that work ----
def test_every_kind_of_credentials(cloud, tmp_path, monkeypatch):
    account = json.loads(Path(cloud.env["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())["service_account_id"]
    token, _ = cloud.cloud.identity.grant(account)
    oauth = (cloud.folder / "oauth.token").read_text()
    address = metadata_service(token, cloud)
    for options in ({"iam_token": token}, {"token": oauth}, {"auth": "metadata"}, {}):
        monkeypatch.setenv("YC_METADATA_ADDR", address)
        engine = Engine.at(cloud, **{"service_account_key_file": None, **options})
        assert engine.apply("vpc_network", {"name": "main"}, state="info")["exists"] is False


def metadata_service(token: str, cloud: object) -> str:
    """A metadata service as a machine in the cloud has, without a token where there is no account; it ends with the
    process."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.path.endswith("/service-accounts/default/token")
            known = asked and bool(token) and self.headers.get("Metadata-Flavor") == "Google"
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"access_token": token, "expires_in": 3600}).encode() if known else b"")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_port}"
