"""The sandbox settings that units have in common."""

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.stagecraft.platform.plugins.filter.hardening import COMMON, hardening


def settings(own):
    return [line.split("=", 1) for line in hardening(own).splitlines()]


def test_a_unit_without_exceptions_has_all_of_it():
    lines = settings({})
    assert {name for name, _ in lines} == set(COMMON)
    assert ["ProtectSystem", "strict"] in lines and ["NoNewPrivileges", "yes"] in lines
    assert ["CapabilityBoundingSet", ""] in lines  # an empty value takes every capability away
    assert [value for name, value in lines if name == "SystemCallFilter"] == COMMON["SystemCallFilter"]


def test_a_unit_has_its_own_settings_and_exceptions():
    own = {"ReadWritePaths": "/var/lib/a /run", "MemoryDenyWriteExecute": None, "PrivateTmp": False, "UMask": "0027"}
    lines = dict(settings(own))
    assert lines["ReadWritePaths"] == "/var/lib/a /run" and lines["PrivateTmp"] == "no" and lines["UMask"] == "0027"
    assert "MemoryDenyWriteExecute" not in lines and lines["ProtectHome"] == "yes"


@pytest.mark.parametrize(
    ("own", "said"), [({"ProtectHme": None}, "ProtectHme is none of the common settings"), ("yes", "not 'yes'")]
)
def test_what_cannot_be_meant_is_refused(own, said):
    with pytest.raises(AnsibleFilterError, match=said):
        hardening(own)
