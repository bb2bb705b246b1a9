"""What a person sees of a stack, and the forms in which one is declared."""

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.declaration import Fail
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs.stack import flat
from ansible_collections.stagecraft.platform.plugins.plugin_utils.progress import line, summary


def row(item, before, after, **more):
    return {
        "item": item,
        "changed": before != after,
        "seconds": 1.234,
        "diff": {"before": before, "after": after},
        **more,
    }


CREATED = row("vpc_subnet private-a", {}, {"zone": "a"})
PLAIN = {**row("vpc_network main", {}, {}), "changed": True}  # created with nothing but its name
UPDATED = row("storage_bucket models", {"max_size": "1GB"}, {"max_size": "2GB"})
DELETED = row("vpc_gateway egress", {"state": "present"}, {"state": "absent"})
SAME = row("vpc_address entry", {}, {})
FAILED = {"item": "vpc_gateway x", "changed": False, "seconds": 0.05, "error": "no"}


@pytest.mark.parametrize(
    ("result", "check", "text"),
    [
        (CREATED, False, "  created  vpc_subnet private-a  1.2s"),
        (PLAIN, False, "  created  vpc_network main  1.2s"),
        (CREATED, True, "  to create  vpc_subnet private-a"),
        (UPDATED, False, "  updated  storage_bucket models (max_size)  1.2s"),
        (DELETED, True, "  to delete  vpc_gateway egress"),
        (FAILED, False, "  failed  vpc_gateway x  0.1s"),
        (SAME, False, ""),
    ],
)
def test_a_line_a_change(result, check, text):
    assert line(result, check) == text


def test_the_rest_is_counted():
    assert summary([CREATED, PLAIN, SAME, SAME, FAILED], False) == "  created 2, failed 1, unchanged 2"
    assert summary([], False) == "  nothing is declared"


def test_both_forms_mean_the_same():
    by_kind = {
        "vpc_network": {"main": None},
        "vpc_subnet": {"a": {"network": "main"}, "b": {"name": "c"}},
        "iam_folder_binding": [{"service_account": "robot", "role": "viewer"}],
        "vpc_gateway": None,
    }
    entries = [
        {"vpc_network": {"name": "main"}},
        {"vpc_subnet": {"name": "a", "network": "main"}},
        {"vpc_subnet": {"name": "c"}},
        {"iam_folder_binding": {"service_account": "robot", "role": "viewer"}},
    ]
    assert flat(by_kind) == entries == flat(entries)


@pytest.mark.parametrize("wrong", [{"vpc_network": "main"}, {"vpc_network": {"main": "text"}}])
def test_a_form_that_is_neither_is_explained(wrong):
    with pytest.raises(Fail, match="vpc_network"):
        flat(wrong)
