"""What is read of a log group: what its containers print, by who may."""

from __future__ import annotations

import grpc
import pytest
from cloud_client import refused

Code = grpc.StatusCode
CONTAINER, READING = "serverless.containers.v1.Container", "logging.v1.LogReading"
LINES = [(f"2026-01-02T03:04:{second:02}.123456789+00:00", f"line {second}") for second in range(5)]


@pytest.fixture
def group(client):
    return client.api("logging.v1.LogGroup").Create(folder_id=client.folder, name="app")


@pytest.fixture
def container(client, world, group):
    """One that logs to the group, beside one that does not."""
    made = [client.api(CONTAINER).Create(folder_id=client.folder, name=name) for name in ("api", "silent")]
    template = {"resources": {"memory": 128 << 20}, "image_spec": {"image_url": "cr.yandex/crp9ftr22d26age3hulg/api"}}
    for one, options in zip(made, ({"log_group_id": group.id}, {"disabled": True}), strict=True):
        client.api(CONTAINER).DeployRevision(container_id=one.id, log_options=options, **template)
    world.printed = lambda cloud, container: LINES
    return made[0]


def read(client, group, **criteria):
    return client.api(READING).Read(criteria={"log_group_id": group.id, **criteria})


def said(client, group, **criteria) -> list[str]:
    return [entry.message for entry in read(client, group, **criteria).entries]


def test_its_containers_lines_by_time_and_resource(client, group, container):
    found = read(client, group)
    assert [entry.message for entry in found.entries] == [text for _, text in LINES]
    assert {(e.resource.type, e.resource.id) for e in found.entries} == {("serverless.container", container.id)}
    assert found.entries[1].timestamp.ToJsonString().startswith("2026-01-02T03:04:01.123456")
    third = found.entries[2].timestamp
    assert said(client, group, since=third) == ["line 2", "line 3", "line 4"]
    assert said(client, group, until=third) == ["line 0", "line 1", "line 2"]
    assert (
        said(client, group, resource_ids=["another"]) == said(client, group, resource_types=["compute.instance"]) == []
    )
    part = read(client, group, page_size=2)
    assert [entry.message for entry in part.entries] == ["line 0", "line 1"] and part.next_page_token
    refused(Code.UNIMPLEMENTED, lambda: client.api(READING).Read(page_token=part.next_page_token), "shorter time")
    refused(Code.UNIMPLEMENTED, lambda: read(client, group, filter="message: x"), "criteria.filter")
    refused(Code.NOT_FOUND, lambda: client.api(READING).Read(criteria={"log_group_id": "e23nothing"}), "LogGroup")


def test_only_who_may_reads(emulator, client, group, container):
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="reader")
    other = type(client)(emulator.env, iam_token=emulator.cloud.identity.grant(account.id)[0])
    refused(Code.PERMISSION_DENIED, lambda: read(other, group), "logging.")
    emulator.cloud.identity.bind(group.id, "logging.reader", "serviceAccount", account.id)
    assert said(other, group) == [text for _, text in LINES]
