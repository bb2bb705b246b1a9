"""Serverless containers as podman runs them, behind the front: load, revisions, limits, gateways, crashes."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from server_clients import rehearsal
from serverless_stage import APPLICATION, MB, PLACE, Load, staged
from waiting import wait_for

from rehearsal import processes
from rehearsal.environment import CLOUD
from rehearsal.serverless import instances
from rehearsal.world import WorldError, shell

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with staged(PLACE, tmp_path_factory.mktemp("serverless")) as made:
        made.idle(600)
        yield made


@pytest.fixture
def container(stage, request):
    """A public container of the test's own, which leaves nothing behind."""
    ident = stage.container(request.node.name.partition("[")[0].removeprefix("test_")[:24].replace("_", ""))
    yield ident
    stage.delete(ident)


def test_a_load_brings_instances_up_to_the_limit_and_their_end_none_lost(stage, container):
    stage.deploy(container, "load", limit=1)  # three zones
    stage.idle(2)
    try:
        with Load(lambda: stage.ask(container, "/sleep?seconds=0.15"), clients=12) as load:
            most = 1
            for _ in range(10):
                most = max(most, stage.count("load"))
                time.sleep(0.3)
        assert load.statuses().keys() == {200} and len(load.answers) > 20
        assert most == 3 and len({answer.said["host"] for answer in load.answers}) >= 3
        wait_for("no instance", lambda: stage.count("load") == 0, 30)
        began = time.monotonic()
        assert stage.ask(container).status == 200
        assert time.monotonic() - began < 4, "from nothing to an answer"
    finally:
        stage.idle(600)


def test_an_instance_gets_as_many_requests_at_a_time_as_it_may(stage, container):
    stage.deploy(container, "many", concurrency=8)
    with Load(lambda: stage.ask(container, "/sleep?seconds=0.2"), clients=8) as load:
        time.sleep(1.5)
    assert load.statuses().keys() == {200}
    assert len({answer.said["host"] for answer in load.answers}) == 1 == stage.count("many")


def test_provisioned_instances_are_there_before_anybody_asks_and_stay(stage, container):
    stage.idle(1)
    try:
        stage.deploy(container, "provisioned", provisioned=2)
        wait_for("two instances", lambda: stage.count("provisioned") == 2, 20)
        time.sleep(3)
        assert stage.count("provisioned") == 2
    finally:
        stage.idle(600)


def test_an_instance_that_nobody_asks_gets_no_time(stage, container):
    def turns() -> int:
        return stage.ask(container, "/turns").said["turns"]

    def rest() -> int:
        """How often the application's thread has turned in two seconds in which nobody asked."""
        before = turns()
        time.sleep(2)
        return turns() - before

    stage.deploy(container, "rests", provisioned=1, concurrency=4)
    assert rest() < 50
    before = turns()
    with ThreadPoolExecutor(2) as clients:
        long = clients.submit(stage.ask, container, "/sleep?seconds=2")
        time.sleep(0.3)
        turns()  # a shorter request beside it does not end its time
        assert long.result().status == 200
    assert turns() - before > 100
    os.kill(stage.front(), signal.SIGKILL)
    wait_for("the end of the front", lambda: not stage.front(), 5)
    rehearsal("up", PLACE.name)
    assert rest() < 50
    assert stage.count("rests") == 1, "it is the same instance"


def test_an_instance_that_was_frozen_is_told_to_end(stage, container):
    program = APPLICATION.replace("lambda *_: sys.exit()", "lambda *_: (print('it was told', flush=True), sys.exit())")
    stage.deploy(container, "ends-first", program=program)
    (name,) = stage.instances("ends-first")
    stage.deploy(container, "ends-then")
    wait_for("the end of the old one", lambda: stage.count("ends-first") == 0, 10)
    assert "it was told" in instances.printed(PLACE, name)


def test_a_new_revision_goes_live_and_back_without_a_failed_request(stage, container):
    stage.deploy(container, "blue", concurrency=4)
    with Load(lambda: stage.ask(container, "/sleep?seconds=0.05"), clients=6) as load:
        time.sleep(0.5)
        stage.deploy(container, "green", concurrency=4)
        wait_for("green", lambda: load.answers[-1].said["revision"] == "green", 5)
        began = time.monotonic()
        stage.roll_back(container, "blue")
        wait_for("blue", lambda: load.answers[-1].said["revision"] == "blue", 5)
        assert time.monotonic() - began < 10
    assert load.statuses().keys() == {200}
    wait_for("the end of green", lambda: stage.count("green") == 0, 20)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"program": "print('cannot find the model'); raise SystemExit(3)"},
            r"(?s)exit status 3.*cannot find the model",
        ),
        ({"program": "x = b'x' * (500 << 20)"}, "memory limit of 128 MB was exceeded"),
        ({"image": "localhost/stagecraft/nothing:1"}, "the image localhost/stagecraft/nothing:1 cannot be fetched"),
        ({"command": "/no/such/program"}, "/no/such/program"),
    ],
    ids=["it gives up", "it needs more memory", "no such image", "no such program"],
)
def test_what_does_not_start_leaves_the_old_revision(stage, container, settings, words):
    good, bad = (f"{kind}{len(words)}" for kind in ("good", "bad"))
    stage.deploy(container, good)
    with pytest.raises(WorldError, match=words):
        stage.deploy(container, bad, **settings)
    assert stage.ask(container).said["revision"] == good
    assert stage.count(bad) == 0


def test_what_takes_too_long_is_answered_with_504(stage, container):
    stage.deploy(container, "slow", timeout=1)
    began = time.monotonic()
    answer = stage.ask(container, "/sleep?seconds=30")
    assert answer.status == 504 and time.monotonic() - began < 3
    assert answer.said["errorMessage"] == "The container did not answer within 1 s"
    wait_for("an instance that is not busy", lambda: stage.ask(container).status == 200, 10)


def test_an_application_writes_below_tmp_only_and_no_more_than_fits(stage, container):
    stage.deploy(container, "writes", memory=640)

    def refusal(path: str, megabytes: int = 1) -> str:
        return stage.ask(container, f"/write?path={path}&megabytes={megabytes}").said["refused"]

    for folder in ("/", "/run", "/var/tmp", "/etc", "/root"):
        assert refusal(f"{folder}/mine") == "Read-only file system", folder
    assert refusal("/tmp/mine") == ""
    assert refusal("/tmp/large", 600) == "No space left on device"


def test_an_instance_that_ends_is_replaced_and_the_answer_says_why(stage, container):
    stage.deploy(container, "ends")
    answer = stage.ask(container, "/eat?megabytes=400")
    assert answer.status == 502 and "memory limit of 128 MB was exceeded" in answer.said["errorMessage"]
    assert stage.ask(container).status == 200
    answer = stage.ask(container, "/die")
    assert answer.status == 502 and "the application gives up" in answer.said["errorMessage"]
    assert "exit status 7" in answer.said["errorMessage"] and answer.headers["x-request-id"]
    assert stage.ask(container).status == 200


def test_an_idle_instance_that_died_costs_no_request(stage, container):
    stage.deploy(container, "dies")
    first = stage.ask(container).said["host"]
    shell.podman("kill", first)
    answer = stage.ask(container)
    assert answer.status == 200 and answer.said["host"] != first


def test_more_than_may_wait_and_more_than_may_be_at_once_is_refused(stage, container):
    stage.deploy(container, "few", requests=1)
    with ThreadPoolExecutor(5) as clients:
        answers = list(clients.map(lambda _: stage.ask(container, "/sleep?seconds=1").status, range(5)))
    assert Counter(answers) == {200: 3, 429: 2}, "one request a zone"


def test_who_may_invoke(stage):
    container = stage.container("private", public=False)
    stage.deploy(container, "private")
    friend, stranger = (f"Bearer {stage.identity.grant(who)[0]}" for who in ("aje-friend", "aje-stranger"))
    stage.allow(container, "aje-friend")
    assert stage.ask(container).status == 403
    assert stage.ask(container, Authorization="Bearer t1.nonsense").status == 401
    assert stage.ask(container, Authorization=stranger).status == 403
    assert stage.ask(container, Authorization=friend).status == 200
    stage.delete(container)
    assert stage.ask(container, Authorization=friend).status == 404


def test_headers_sizes_and_paths(stage, container):
    stage.deploy(container, "headers")
    answer = stage.ask(container, "/sent?x=a%2Fb", Cookie="a=b", X_API_Key="k", X_Forwarded_For="192.0.2.7")
    got = answer.said["headers"]
    assert answer.said["path"] == "/sent?x=a%2Fb"
    assert "cookie" not in got and got["x-api-key"] == "k" and got["x-request-id"] == answer.headers["x-request-id"]
    assert got["host"] == f"{container}.containers.yandexcloud.net" and got["x-forwarded-for"].startswith("192.0.2.7, ")
    assert answer.headers["x-yf-remapped-server"] and stage.ask(container, "/?status=404").status == 404
    assert stage.ask(container, "/", method="POST", body=b"x" * 3 * MB).said["size"] == 3 * MB
    assert stage.ask(container, "/", method="POST", body=b"x" * 4 * MB).status == 413
    assert stage.ask(container, f"/large?size={3 * MB}").status == 200
    assert "larger than" in stage.ask(container, f"/large?size={4 * MB}").said["errorMessage"]
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "a" * 24,
    }
    assert stage.ask(container, **upgrade).status == 200, "no web socket: it is answered as if nobody had asked for one"
    assert "header via" in stage.ask(container, "/?via=proxy").said["errorMessage"]


def test_secrets_stay_off_command_lines_and_reach_the_application(stage, container):
    told = {"SECRET": "a long secret = with signs", "KEY": "two\nlines", "PORT": "1"}
    stage.deploy(container, "environment", environment=told)
    environment = stage.ask(container, "/environment").said["environment"]
    assert {name: environment[name] for name in told} == {**told, "PORT": "8080"}
    assert "with signs" not in shell.run("ps", "-eww", "-o", "args=")


def test_the_front_killed_finds_its_instances_again(stage, container):
    stage.deploy(container, "kept")
    first = stage.ask(container).said["host"]
    os.kill(stage.front(), signal.SIGKILL)
    wait_for("the end of the front", lambda: not stage.front(), 5)
    rehearsal("up", PLACE.name)
    assert stage.ask(container).said["host"] == first, "the instance went on"
    stage.deploy(container, "next")
    assert stage.ask(container).said["revision"] == "next"
    wait_for("the end of the old instance", lambda: stage.count("kept") == 0, 20)


def test_the_front_serves_while_the_api_is_away(stage, container):
    stage.deploy(container, "alone")
    processes.stop(PLACE, CLOUD)
    try:
        assert stage.ask(container).status == 200
    finally:
        rehearsal("up", PLACE.name)
