"""Which instances become hosts, and what is said of filters that could match nothing."""

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs.instances import (
    checked_fields,
    described,
    matcher,
)
from yandex.cloud.compute.v1.instance_pb2 import Instance

EDGE = Instance(name="edge-1", status=Instance.RUNNING, labels={"role": "edge", "n": "1"})


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({}, True),
        ({"labels": {"role": "edge", "n": 1}}, True),
        ({"labels": {"role": "edge", "more": "x"}}, False),
        ({"labels": {"role": ""}}, False),
        ({"status": ["running", "stopped"]}, True),
        ({"status": "Stopped"}, False),
        ({"name": "edge-.*"}, True),
        ({"name": "edge"}, False),
        ({"name": "edge-1", "status": ["running"], "labels": {"n": "2"}}, False),
    ],
)
def test_all_filters_have_to_match(filters, matches):
    assert matcher(filters)(EDGE) is matches


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"label": {}}, "no such filter: label"),
        ({"status": ["runing"]}, "no status 'runing'"),
        ({"name": "("}, "'(' is not a regular expression"),
    ],
)
def test_a_filter_that_cannot_match_is_an_error(filters, text):
    with pytest.raises(Fail, match=".*") as caught:
        matcher(filters)
    assert text in str(caught.value)


def test_fields_are_the_api_s():
    assert checked_fields(["resources", "metadata"]) == ["resources", "metadata"]
    with pytest.raises(Fail, match="did you mean resources"):
        checked_fields(["resource"])


def test_a_machine_without_an_interface_has_no_address():
    row = described(EDGE, ["scheduling_policy", "resources"])
    assert row["private_ip"] == row["public_ip"] == "" and row["resources"] is None and row["status"] == "running"
