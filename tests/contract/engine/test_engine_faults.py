"""When the cloud does not do what it should: retried, or one readable message, and never a second resource."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import session
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.errors import ApiFail
from engine_runs import Engine, case

NETWORK = ("vpc_network", {"name": "main"})


@pytest.fixture
def nothing_left(engine):
    """Delete what a test made, in the order that the stack finds, and see that it is gone."""
    made: list[dict] = []
    yield made
    engine.cloud.faults.clear()
    Engine.at(engine.cloud).demolish(made)


def listed(engine: Engine, service: str, **values: str) -> list:
    values = values or {"folder_id": engine.session.folder}
    return list(engine.session.pages(service, **values))


def test_a_lost_answer_makes_no_second(engine, nothing_left):
    nothing_left.append(dict([NETWORK]))
    engine.cloud.faults.add("vpc.v1.NetworkService.Create", effect="lose", count=2)
    before = len(engine.calls("NetworkService.Create"))
    assert engine.apply(*NETWORK)["changed"]
    assert len(engine.calls("NetworkService.Create")) == before + 3
    assert [n.name for n in listed(engine, "vpc.v1.NetworkService")] == ["main"]


def test_a_lost_answer_makes_no_second_key(engine, nothing_left):
    needs = [{"iam_service_account": {"name": "robot"}}, {"lockbox_secret": {"name": "kept"}}]
    nothing_left += needs
    engine.build(needs)
    engine.cloud.faults.add("iam.v1.awscompatibility.AccessKeyService.Create", effect="lose")
    key = engine.apply("iam_access_key", {"service_account": "robot", "save_to": {"secret": "kept"}})["access_key"]
    owner = key["service_account_id"]
    assert [k.key_id for k in listed(engine, "iam.v1.awscompatibility.AccessKeyService", service_account_id=owner)] == [
        key["key_id"]
    ]


def test_a_key_whose_secret_was_lost_is_made_again(engine, nothing_left):
    needs = [{"iam_service_account": {"name": "robot"}}, {"lockbox_secret": {"name": "kept"}}]
    nothing_left += needs
    engine.build(needs)
    declared = ("iam_access_key", {"service_account": "robot", "save_to": {"secret": "kept"}})
    engine.apply(*declared)
    engine.apply("iam_access_key", {"service_account": "robot"}, state="absent")  # the secret keeps what was in it
    engine.cloud.faults.add("lockbox.v1.SecretService.AddVersion", code="PERMISSION_DENIED")
    with pytest.raises(ApiFail, match="PERMISSION_DENIED"):
        engine.apply(*declared)
    assert engine.apply(*declared, check=True)["changed"]
    key = engine.apply(*declared)["access_key"]
    assert not engine.apply(*declared)["changed"]
    secret = engine.apply("lockbox_secret", {"name": "kept"}, state="info")["secret"]["id"]
    assert engine.session.payload(secret)["key_id"] == key["key_id"]
    owner = key["service_account_id"]
    assert len(listed(engine, "iam.v1.awscompatibility.AccessKeyService", service_account_id=owner)) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("UNAVAILABLE", "restarting"),
        ("RESOURCE_EXHAUSTED", "too many requests"),
        ("FAILED_PRECONDITION", "Conflicting operation enp1 detected"),
    ],
)
def test_what_passes_is_waited_for(engine, nothing_left, code, message):
    nothing_left.append(dict([NETWORK]))
    engine.cloud.faults.add("vpc.v1.NetworkService.*", code=code, message=message, count=3)
    assert engine.apply(*NETWORK)["changed"]


def test_a_quota_is_not_waited_for(engine):
    engine.cloud.faults.add(
        "vpc.v1.NetworkService.Create", code="RESOURCE_EXHAUSTED", message="Quota limit vpc.networks.count exceeded"
    )
    before = len(engine.calls("NetworkService.Create"))
    with pytest.raises(ApiFail, match="^vpc_network main: .*RESOURCE_EXHAUSTED: Quota.*ask for more of it"):
        engine.apply(*NETWORK)
    assert len(engine.calls("NetworkService.Create")) == before + 1


def test_an_api_that_stays_away(engine):
    engine.cloud.faults.add("vpc.v1.NetworkService.List", code="UNAVAILABLE", count=None)
    patient = Engine.at(engine.cloud, retry_time=1)
    with pytest.raises(
        ApiFail, match=r"did not answer for 1 s: check the endpoint \(YC_ENDPOINT\).*run the same again"
    ):
        patient.apply(*NETWORK)


def test_who_waits_is_told_what_is_tried_again(engine, nothing_left, monkeypatch):
    """A line now and then for all that is under way, and nothing where the API comes back at once."""
    monkeypatch.setattr(session, "UNSAID", 0.5)
    monkeypatch.setattr(session, "BETWEEN_NOTICES", 1)
    told: list[str] = []
    declared = [{"vpc_network": {"name": f"network-{n}"}} for n in range(8)]
    nothing_left += declared
    waiting = Engine.at(engine.cloud, retry_time=20)
    waiting.session.notice = told.append
    engine.cloud.faults.add("vpc.v1.NetworkService.Create", code="UNAVAILABLE", count=1)
    waiting.build(declared[:1])
    assert told == []
    engine.cloud.faults.add("vpc.v1.NetworkService.List", code="UNAVAILABLE", count=None)
    threading.Timer(3, engine.cloud.faults.clear).start()
    waiting.build(declared)
    said = [re.fullmatch(r"retrying (\S+) \((\w+)\), attempt (\d+), for up to (\d+) s", line).groups() for line in told]
    assert {(call, code) for call, code, _, _ in said} == {("vpc.v1.NetworkService.List", "UNAVAILABLE")}
    assert 2 <= len(said) <= 4, told
    assert all(int(attempt) > 2 for _, _, attempt, _ in said)
    left = [int(seconds) for *_, seconds in said]
    assert 20 > left[0] > left[-1] >= 16


def test_an_api_that_is_down(cloud):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{unused.getsockname()[1]}"
        down = Engine.at(cloud, endpoint=endpoint, retry_time=1)
        with pytest.raises(ApiFail, match=f"vpc_network main: .*UNAVAILABLE.*the API at {endpoint} did not answer"):
            down.apply(*NETWORK)


def test_an_operation_that_never_ends(engine, nothing_left):
    nothing_left.append(dict([NETWORK]))
    engine.cloud.faults.add("vpc.v1.NetworkService.Create", effect="hang_operation")
    hurried = Engine.at(engine.cloud, operation_timeout=1)
    with pytest.raises(
        Fail, match=r"NetworkService.Create is still going on after 1 s \(operation \w+\).*run the same"
    ):
        hurried.apply(*NETWORK)
    engine.cloud.faults.clear()
    engine.apply(*NETWORK)
    assert [n.name for n in listed(engine, "vpc.v1.NetworkService")] == ["main"]


def test_an_operation_that_fails(engine, nothing_left):
    nothing_left.append(dict([NETWORK]))
    engine.cloud.faults.add(
        "vpc.v1.NetworkService.Create", effect="fail_operation", code="INTERNAL", message="disk on fire"
    )
    with pytest.raises(ApiFail, match="^vpc_network main: .*INTERNAL: disk on fire.*run the same again"):
        engine.apply(*NETWORK)
    assert engine.apply(*NETWORK)["changed"]


def test_a_refused_update_does_not_leave_a_machine_stopped(engine, nothing_left):
    case_of = case("compute_instance")
    nothing_left += [*case_of["needs"], {"compute_instance": case_of["create"]}]
    engine.build(nothing_left)
    engine.cloud.faults.add("compute.v1.InstanceService.Update", code="INVALID_ARGUMENT", message="too many cores")
    with pytest.raises(ApiFail, match="compute_instance api-1: .*INVALID_ARGUMENT: too many cores"):
        engine.apply("compute_instance", {"name": "api-1", "cores": 4, "allow_stopping": True})
    found = engine.apply("compute_instance", {"name": "api-1"}, state="info")["instance"]
    assert found["status"] == "running" and found["resources"]["cores"] == 2


def test_one_failure_does_not_stop_what_does_not_need_it(engine, nothing_left):
    declared = [
        {"vpc_subnet": {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.10.1.0/24"]}},
        {"vpc_network": {"name": "main"}},
        {"vpc_gateway": {"name": "egress"}},
    ]
    nothing_left += declared
    engine.cloud.faults.add("vpc.v1.NetworkService.Create", code="PERMISSION_DENIED")
    subnet, network, gateway = engine.stack(declared)
    assert gateway["changed"] and "PERMISSION_DENIED" in network["error"]
    assert subnet["error"] == "not tried, because this failed: vpc_network main"


def test_no_permission(engine, nothing_left, tmp_path):
    """With the real key of an account that may only look."""
    declared = [
        {"iam_service_account": {"name": "looker"}},
        {"iam_folder_binding": {"service_account": "looker", "role": "viewer"}},
        {"lockbox_secret": {"name": "looker-key"}},
        {"iam_key": {"service_account": "looker", "save_to": {"secret": "looker-key"}}},
    ]
    nothing_left += declared
    engine.build(declared)
    secret = engine.apply("lockbox_secret", {"name": "looker-key"}, state="info")["secret"]["id"]
    file = tmp_path / "key.json"
    file.write_text(engine.session.payload(secret)["key_file"])
    looker = Engine.at(engine.cloud, service_account_key_file=str(file))
    assert looker.apply(*NETWORK, check=True)["changed"]
    with pytest.raises(ApiFail) as error:
        looker.apply(*NETWORK)
    assert error.value.code == "PERMISSION_DENIED"
    assert "they need vpc.editor or editor" in str(error.value) and str(file) in str(error.value)
    with pytest.raises(ApiFail, match=r"PERMISSION_DENIED.*lockbox\.payloadViewer"):
        looker.session.payload(secret)


def test_a_key_that_was_deleted(cloud, tmp_path):
    key = json.loads(Path(cloud.env["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())
    file = tmp_path / "key.json"
    file.write_text(json.dumps(key | {"id": "ajegone"}))
    gone = Engine.at(cloud, service_account_key_file=str(file))
    with pytest.raises(ApiFail, match=f"UNAUTHENTICATED: no IAM token: .*option service_account_key_file, {file}"):
        gone.apply(*NETWORK)


def test_a_token_that_is_none(cloud):
    options = {"iam_token": "t1.nonsense", "service_account_key_file": None}
    with pytest.raises(ApiFail, match=r"UNAUTHENTICATED.*\(option iam_token\)"):
        Engine.at(cloud, **options).apply(*NETWORK)


def test_an_api_that_nobody_vouches_for(cloud):
    with pytest.raises(ApiFail, match=r"UNTRUSTED.*root_certificates \(YC_ROOT_CERTIFICATES\)"):
        Engine.at(cloud, root_certificates=None).apply(*NETWORK)


def test_a_second_run_waits_for_what_the_first_is_still_making(engine, nothing_left):
    """As after a run that was cut off: the cloud goes on, and nothing is made twice."""
    case_of = case("compute_instance")
    nothing_left += [*case_of["needs"], {"compute_instance": case_of["create"]}]
    engine.build(case_of["needs"])
    engine.cloud.faults.add("compute.v1.InstanceService.Create", effect="hang_operation")
    with pytest.raises(Fail, match="still going on after 1 s"):
        Engine.at(engine.cloud, operation_timeout=1).apply("compute_instance", case_of["create"])
    with pytest.raises(Fail, match=r"compute_instance api-1: it is still \w+ after 1 s; run the same again"):
        Engine.at(engine.cloud, operation_timeout=1).apply("compute_instance", case_of["create"])
    threading.Timer(1, engine.cloud.faults.clear).start()
    done = engine.apply("compute_instance", case_of["create"])
    assert not done["changed"] and done["instance"]["status"] == "running"
    assert len(listed(engine, "compute.v1.InstanceService")) == 1
