"""The table of prices knows every kind that the engine has, with the engine's own defaults."""

from __future__ import annotations

import pytest
from ansible.module_utils.parsing.convert_bool import BOOLEANS_FALSE, BOOLEANS_TRUE
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL

from stagecraft.cost.item import FALSE, TRUE, Item
from stagecraft.cost.kinds import FREE, KINDS, core, disk

BY_KIND = {resource.kind: resource for resource in ALL}


def default(kind: str, field: str):
    return next(one.default for one in BY_KIND[kind].fields if one.name == field)


def test_every_kind_has_prices_or_is_known_to_have_none():
    assert set(BY_KIND) == set(KINDS) | FREE
    assert not set(KINDS) & FREE


def test_a_text_is_yes_or_no_as_it_is_to_ansible():
    for ours, theirs in ((TRUE, BOOLEANS_TRUE), (FALSE, BOOLEANS_FALSE)):
        assert ours == {str(one).lower() for one in theirs}


@pytest.mark.parametrize(("kind", "field"), [
    ("compute_instance", "disk_type"), ("compute_disk", "type"), ("postgresql_cluster", "disk_type"),
])  # fmt: skip
def test_a_disk_without_a_type_has_the_engines(kind, field):
    assert disk("disk", field)(Item("lab", kind, "one", {})) == f"disk.{default(kind, field)}"


def test_a_machine_without_a_platform_has_the_engines():
    said = {
        "platform": default("compute_instance", "platform"),
        "core_fraction": default("compute_instance", "core_fraction"),
    }
    assert core(Item("lab", "compute_instance", "one", {})) == core(Item("lab", "compute_instance", "one", said))
