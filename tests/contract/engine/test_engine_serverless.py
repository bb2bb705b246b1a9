"""Serverless containers: what brings another revision, what does not, and the way back."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.module_utils.serverless import Containers
from engine_runs import Engine, kind_of

from rehearsal.cloud import server
from rehearsal.world import World, WorldError

SERVICE = "serverless.containers.v1.ContainerService"
IMAGE = "cr.yandex/crp9ftr22d26age3hulg/api@sha256:" + "0" * 63
DIGEST = "sha256:" + "f" * 64
FIRST = {"name": "api", "image": IMAGE + "1", "memory": "128MB"}

PUBLIC = [{"role": "serverless-containers.containerInvoker", "everybody": "all_users"}]


class Stage(World):
    """Starts every image but those in `broken`; a tag is of the image DIGEST."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.said: list[tuple[str, str]] = []

    def printed(self, cloud, container) -> list[tuple[str, str]]:
        return self.said

    def put_revision(self, cloud, container, revision) -> str:
        if revision.image.image_url in self.broken:
            raise WorldError(
                f"no instance of {container.name} answers; it said: ModuleNotFoundError: No module named 'api'"
            )
        return revision.image.image_digest or DIGEST


@pytest.fixture(scope="module")
def world() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def shared_cloud(tmp_path_factory, world):
    emulator = server.start(tmp_path_factory.mktemp("cloud"), world=world)
    yield emulator
    emulator.stop()


@pytest.fixture
def container(engine, world):
    """Apply `FIRST` with a change; all of it is gone after the test."""
    yield lambda **change: engine.apply("serverless_container", {**FIRST, **change})["container"]
    world.broken.clear()
    engine.apply("serverless_container", {"name": "api"}, state="absent")


def revisions(engine: Engine, status: str = "") -> list[dict]:
    found = engine.apply("serverless_container", {"name": "api"}, state="info")["container"]
    return [r for r in found["revisions"] if r["status"] == status or not status]


def backend(engine: Engine):
    found = engine.session.at(kind_of("serverless_container"), {"name": "api"})
    assert found.find() is not None
    return found


def test_only_what_a_revision_holds_brings_another_one(engine, container):
    first = container(concurrency=4)
    assert first["url"] == f"https://{first['id']}.containers.yandexcloud.net/"
    assert first["image_digest"] == (IMAGE + "1").partition("@")[2]
    for change in ({}, {"description": "said"}, {"labels": {"a": "b"}}, {"access": PUBLIC}):
        assert container(**change)["revision_id"] == first["revision_id"]
    second = container(memory="256MB")
    assert second["revision_id"] != first["revision_id"]
    assert [r["id"] for r in revisions(engine)] == [second["revision_id"], first["revision_id"]]
    assert [r["id"] for r in revisions(engine, "active")] == [second["revision_id"]]
    assert backend(engine).revision.concurrency == 4, "what is not declared is as it was"


def test_what_no_option_knows_survives_a_change(engine, container):
    container()
    there = backend(engine)
    request = there.request("DeployRevision")
    request.resources.memory, request.image_spec.image_url = 128 << 20, IMAGE + "1"
    request.runtime.task.SetInParent()
    there.call("DeployRevision", request)
    container(memory="256MB")
    assert backend(engine).revision.runtime.HasField("task")


def test_a_tag_is_known_by_the_digest_that_it_had(container):
    assert container(image="cr.yandex/crp9ftr22d26age3hulg/api:latest")["image_digest"] == DIGEST


def test_a_new_version_of_a_secret_brings_a_new_revision(engine, container):
    needs = [
        {"iam_service_account": {"name": "robot"}},
        {"lockbox_secret": {"name": "keys", "entries": [{"key": "k", "text": "a"}]}},
    ]
    engine.build(needs)
    declared = {"service_account": "robot", "secrets": [{"variable": "K", "secret": "keys", "key": "k"}]}
    try:
        first = container(**declared)["revision_id"]
        engine.apply("lockbox_secret", {**needs[1]["lockbox_secret"], "update_secrets": True})
        changed = engine.apply("serverless_container", {**FIRST, **declared}, check=True)["diff"]
        assert changed["before"]["secrets"][0]["secret"] == "keys"
        assert changed["before"]["secrets"][0]["version"] != changed["after"]["secrets"][0]["version"]
        second = container(**declared)["revision_id"]
        assert second not in (first, "") and container(**declared)["revision_id"] == second
    finally:
        engine.apply("serverless_container", {"name": "api"}, state="absent")
        engine.demolish(needs)


def test_an_image_that_does_not_start_leaves_the_old_revision(engine, container, world):
    first = container()["revision_id"]
    world.broken.add(IMAGE + "2")
    with pytest.raises(Fail) as error:
        container(image=IMAGE + "2")
    said = str(error.value)
    assert said.startswith(
        "serverless_container api: serverless.containers.v1.ContainerService.DeployRevision: INTERNAL: "
    )
    assert "No module named 'api'. What to do: what served before goes on serving; look at the image" in said
    assert [(r["id"], r["status"]) for r in revisions(engine)] == [(first, "active")]
    world.broken.clear()
    assert container(image=IMAGE + "2")["revision_id"] != first


def test_a_container_whose_first_revision_did_not_start_is_gone_on_with(engine, container, world):
    world.broken.add(IMAGE + "1")
    with pytest.raises(Fail, match="No module named 'api'"):
        container(access=PUBLIC)
    world.broken.clear()
    with pytest.raises(Fail, match="it has no revision yet; to deploy one set: image"):
        engine.apply("serverless_container", {"name": "api", "memory": "128MB"})
    made = container(access=PUBLIC)
    assert made["revision_id"] and backend(engine).granted() == PUBLIC


def test_the_last_lines_are_those_printed_while_it_served(engine, container, world):
    def last_lines(until: float = 0) -> list[str]:
        there = backend(engine)
        return there.last_lines(there.revision, until or time.time())

    def at(moment: datetime, line: str) -> tuple[str, str]:
        return (moment.isoformat(), line)

    container()
    assert last_lines() == [], "it logs nowhere"
    engine.apply("logging_log_group", {"name": "app"})
    try:
        container(log_options={"log_group": "app"})
        deployed = backend(engine).revision.created_at.ToDatetime(UTC)
        later = [deployed + timedelta(seconds=n) for n in (1, 600, 900)]
        world.said = [at(deployed - timedelta(seconds=9), "before it"), *(at(when, f"{when}") for when in later)]
        assert last_lines(later[1].timestamp() + 30) == [f"{when}" for when in later[:2]]
        assert last_lines(later[2].timestamp() + 30) == [f"{when}" for when in later]
        ended = later[0] + timedelta(hours=1)
        world.said = [at(ended - timedelta(seconds=(5000 - n) / 10), f"line {n}") for n in range(5000)]
        assert last_lines(ended.timestamp()) == [f"line {n}" for n in range(4985, 5000)], "more than a page of them"
        engine.cloud.faults.add("logging.v1.LogReadingService.Read", code="PERMISSION_DENIED")
        (said,) = last_lines()
        assert said.startswith("(they cannot be read: ") and "PERMISSION_DENIED" in said
    finally:
        engine.cloud.faults.clear()
        engine.apply("serverless_container", {"name": "api"}, state="absent")
        engine.apply("logging_log_group", {"name": "app"}, state="absent")


def test_a_deployment_that_another_run_began_is_waited_for(engine, container):
    container()
    there = backend(engine)
    request = there.request("DeployRevision")
    request.resources.memory, request.image_spec.image_url = 256 << 20, IMAGE + "1"
    engine.cloud.cloud.delay = 1.0
    try:
        operation = engine.session.once(SERVICE, "DeployRevision", request)
        assert not operation.done
        assert container(memory="256MB")["revision_id"] == revisions(engine, "active")[0]["id"]
        assert len(revisions(engine)) == 2
    finally:
        engine.cloud.cloud.delay = 0.0


def test_the_way_back_and_forward_again(engine, container, world):
    made = [container(image=f"{IMAGE}{n}")["revision_id"] for n in (1, 2, 3)]
    there = backend(engine)
    there.roll_back(there.earlier())
    assert revisions(engine, "active")[0]["id"] == made[1]
    there = backend(engine)
    assert there.earlier().id == made[0], "every step goes further back"
    assert there.earlier(made[2]).id == made[2]
    with pytest.raises(Fail, match=f"it has no revision {made[0][:-1]}x that ever served"):
        there.earlier(f"{made[0][:-1]}x")
    world.broken.add(IMAGE + "1")
    with pytest.raises(Fail, match="Rollback: INTERNAL: .*No module named"):
        there.roll_back(there.earlier())
    assert revisions(engine, "active")[0]["id"] == made[1]
    world.broken.clear()
    there.roll_back(there.earlier())
    with pytest.raises(Fail, match="there is no revision from before the one that serves: nothing was changed"):
        backend(engine).earlier()
    again = engine.apply("serverless_container", {**FIRST, "image": IMAGE + "3"})
    assert again["diff"]["before"] == {"image": IMAGE + "1"} and again["diff"]["after"] == {"image": IMAGE + "3"}
    assert again["container"]["revision_id"] not in made


def test_the_roles_of_its_account_come_first(engine):
    """It is deployed as an account that pulls the image and reads secrets: in one list nothing else would say so."""
    robot = {"service_account": "robot"}
    declared = [
        {"serverless_container": {**FIRST, **robot}},
        {"iam_service_account": {"name": "robot"}},
        {
            "containerregistry_registry": {
                "name": "images",
                "access": [{"role": "container-registry.images.puller", **robot}],
            }
        },
        {"iam_folder_roles": {**robot, "roles": ["lockbox.payloadViewer"]}},
    ]
    before = len(engine.calls())
    engine.cloud.faults.add("containerregistry.v1.RegistryService.Create", effect="slow", delay=0.5)
    engine.cloud.faults.add("resourcemanager.v1.FolderService.UpdateAccessBindings", effect="slow", delay=0.5)
    try:
        engine.build(declared)
        asked = [call["method"].rpartition(".")[2] for call in engine.calls()[before:]]
        last = max(n for n, method in enumerate(asked) if method == "UpdateAccessBindings")
        assert asked.count("UpdateAccessBindings") == 2 and last < asked.index("DeployRevision")
    finally:
        engine.demolish(declared)


def test_callers_are_let_in_after_a_deployment_and_shut_out_before_it(engine, container, world):
    with_login = [{"role": PUBLIC[0]["role"], "everybody": "all_authenticated_users"}]
    container(access=with_login)
    before = len(engine.calls())
    container(access=PUBLIC, memory="256MB")
    done = [call["method"].rpartition(".")[2] for call in engine.calls()[before:]]
    assert done == ["UpdateAccessBindings", "DeployRevision", "UpdateAccessBindings"]
    world.broken.add(IMAGE + "2")
    with pytest.raises(Fail, match="goes on serving"):
        container(access=[*PUBLIC, *with_login], memory="256MB", image=IMAGE + "2")
    assert engine.apply("serverless_container", {"name": "api", "access": PUBLIC})["changed"] is False


# What a container may just be, and what it may just not be any more. A concurrency or a time of 0 is in neither: the engine
# refuses it, and the service cannot tell it from nothing said.
LAST = [
    *({"memory": size} for size in ("128MB", "8GB")),
    *({"memory": f"{1 << cores}GB" if cores != 3 else "6GB", "cores": cores} for cores in (2, 3)),
    {"memory": "8GB", "cores": 4},
    *({"core_fraction": fraction} for fraction in (5, 100)),
    *({"concurrency": number} for number in (1, 16)),
    {"execution_timeout": "1h"},
    *({name: 0} for name in ("min_instances", "zone_instances_limit", "zone_requests_limit")),
    {"environment": {"A": "a" * 4095}},
]
BEYOND = [
    *({"memory": size} for size in ("0MB", "129MB", "8320MB")),
    *({"memory": size, "cores": cores} for size, cores in (("3968MB", 2), ("6016MB", 3), ("8064MB", 4), ("8GB", 5))),
    *({"core_fraction": fraction} for fraction in (4, 7, 105)),
    {"memory": "4GB", "cores": 2, "core_fraction": 50},
    {"concurrency": 17},
    {"execution_timeout": "3601s"},
    *({name: -1} for name in ("min_instances", "zone_instances_limit", "zone_requests_limit")),
    {"environment": {"A": "a" * 4096}},
    *({"environment": {name: "1"}} for name in ("PORT", "REQUEST_PATH")),
    *({"image": image} for image in ("api", IMAGE, "cr.yandex/crp9ftr22d26age3hulg/Api:1")),
]


@pytest.mark.parametrize(("change", "fits"), [*((c, True) for c in LAST), *((c, False) for c in BEYOND)], ids=str)
def test_the_engine_and_the_service_draw_the_same_line(engine, container, monkeypatch, change, fits):
    """The limits are said twice on purpose: the emulator stands for the product, and would share the engine's mistakes."""

    def refusal() -> str:
        try:
            container(**change)
        except Fail as error:
            return str(error)
        return ""

    assert ("othing was touched" in refusal()) is not fits
    monkeypatch.setattr(Containers, "wrong", lambda *_: [])
    assert ("INVALID_ARGUMENT" in refusal()) is not fits, refusal()
