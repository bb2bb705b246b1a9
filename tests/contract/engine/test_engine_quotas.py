"""A quota that is used up is said at once; what was made but is not shown yet makes no second and no failure."""

from __future__ import annotations

import time

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.errors import ApiFail
from engine_runs import Engine
from yandex.cloud.vpc.v1.network_service_pb2 import CreateNetworkRequest

from rehearsal.cloud import server

NETWORK = ("vpc_network", {"name": "main"})
SECOND = ("vpc_network", {"name": "second"})


@pytest.fixture
def alone(tmp_path):
    """An emulator of the test's own: what it sets holds for nobody else."""
    emulator = server.start(tmp_path / "cloud")
    yield Engine.at(emulator, retry_time=20)
    emulator.stop()


def test_a_quota_is_named_with_what_to_do(alone):
    alone.cloud.cloud.quotas.set("vpc.networks.count", 1)
    alone.apply(*NETWORK)
    started, before = time.monotonic(), len(alone.calls("NetworkService.Create"))
    with pytest.raises(ApiFail) as caught:
        alone.apply(*SECOND)
    assert time.monotonic() - started < 5 and len(alone.calls("NetworkService.Create")) == before + 1
    said = str(caught.value)
    assert said.startswith("vpc_network second: vpc.v1.NetworkService.Create: RESOURCE_EXHAUSTED: Quota limit")
    assert "(vpc.networks.count: limit 1, used 1, needed 2). What to do: a quota of the cloud is used up" in said
    assert "--desired-limit quota-id=vpc.networks.count,value=2), or delete what is not needed" in said


def test_a_quota_without_the_word_is_known_by_its_details(alone):
    alone.cloud.cloud.quotas.set("compute.hddDisks.size", 1)
    before = len(alone.calls("DiskService.Create"))
    with pytest.raises(ApiFail, match=r"total size of network-hdd disks.*compute\.hddDisks\.size: limit 1, used 0"):
        alone.apply("compute_disk", {"name": "d", "zone": "ru-central1-a", "size": "10GB", "type": "network-hdd"})
    assert len(alone.calls("DiskService.Create")) == before + 1


def test_operations_at_a_time_are_no_quota(alone):
    """The real cloud limits them to 15 and says so in the words of a quota: it passes by waiting."""
    said = "The limit on maximum number of active operations has exceeded."
    alone.cloud.faults.add("vpc.v1.NetworkService.Create", code="RESOURCE_EXHAUSTED", message=said, count=2)
    assert alone.apply(*NETWORK)["changed"]


def test_too_many_calls_are_not_called_a_quota(alone):
    alone.cloud.faults.add("vpc.v1.NetworkService.Create", code="RESOURCE_EXHAUSTED", message="Too fast", count=None)
    with pytest.raises(ApiFail, match=r"Too fast. What to do: too many calls at once for 1 s: run the same again"):
        Engine.at(alone.cloud, retry_time=1).apply(*NETWORK)


def test_what_is_not_shown_at_once_is_waited_for(alone):
    alone.cloud.cloud.lag = 0.7
    declared = [
        dict([NETWORK]),
        {"vpc_subnet": {"name": "a", "network": "main", "zone": "ru-central1-a", "cidr": ["10.0.0.0/24"]}},
        {"iam_service_account": {"name": "robot"}},
        {"lockbox_secret": {"name": "kept"}},
        {"iam_access_key": {"service_account": "robot", "name": "key", "save_to": {"secret": "kept"}}},
        {"storage_bucket": {"name": "bucket-of-the-lag-test"}},
    ]
    alone.build(declared)
    again = Engine.at(alone.cloud).stack(declared)
    assert not [row for row in again if "error" in row or row["changed"]]
    assert len(alone.cloud.cloud.all("iam.v1.awscompatibility.AccessKey")) == 1


def test_what_another_run_made_a_moment_ago_is_found(alone):
    """Its name is taken before it is shown."""
    alone.cloud.cloud.lag = 1.5
    stub = alone.session.stub("vpc.v1.NetworkService")
    stub.Create(CreateNetworkRequest(folder_id=alone.session.folder, name="main"))
    result = alone.apply("vpc_network", {"name": "main", "description": "ours"})
    assert result["changed"] and result["network"]["description"] == "ours"
    assert len(alone.cloud.cloud.all("vpc.v1.Network")) == 1


def test_a_name_that_somebody_else_has_stays_an_error(alone):
    said = "Bucket with name data already exists; names are unique among all clouds"
    alone.cloud.faults.add("storage.v1.BucketService.Create", code="ALREADY_EXISTS", message=said)
    with pytest.raises(ApiFail, match="ALREADY_EXISTS: Bucket with name data.*choose another one"):
        alone.apply("storage_bucket", {"name": "data"})
