"""What the API says, and what is made of it."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.errors import ApiFail, is_conflict, is_transient

FACTS = {"credentials": "option token", "endpoint": "api:443", "patience": 60}
WRAPPED = (
    "Getting metadata from plugin failed with error: <_InactiveRpcError of RPC that terminated with:\n"
    '\tstatus = StatusCode.UNAUTHENTICATED\n\tdetails = "The JWT is expired"\n\tdebug_error_string = "x">'
)


@pytest.mark.parametrize(
    ("code", "details", "again"),
    [
        ("UNAVAILABLE", "connection refused", True),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", True),
        ("RESOURCE_EXHAUSTED", "too many requests", True),
        ("RESOURCE_EXHAUSTED", "Quota limit vpc.networks.count exceeded", False),
        ("RESOURCE_EXHAUSTED", "The limit on maximum number of instances has exceeded.", False),
        ("RESOURCE_EXHAUSTED", "The limit on maximum number of active operations has exceeded.", True),
        ("UNAVAILABLE", WRAPPED, False),
        ("UNAVAILABLE", WRAPPED.replace("UNAUTHENTICATED", "DEADLINE_EXCEEDED"), True),
        ("UNAVAILABLE", "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED", False),
        ("PERMISSION_DENIED", "no", False),
        ("INVALID_ARGUMENT", "no", False),
    ],
)
def test_what_is_worth_another_try(code, details, again):
    assert is_transient(code, details) is again


def test_conflicts():
    assert is_conflict("Conflicting operation c9q detected") and not is_conflict("Network is in use")


@pytest.mark.parametrize(
    ("call", "role"),
    [
        ("vpc.v1.SubnetService.Create", "vpc.editor"),
        ("mdb.postgresql.v1.UserService.Create", "managed-postgresql.editor"),
        ("containerregistry.v1.RegistryService.Create", "container-registry.admin"),
        ("certificatemanager.v1.CertificateService.Create", "certificate-manager.editor"),
        ("resourcemanager.v1.FolderService.UpdateAccessBindings", "resource-manager.admin"),
        ("lockbox.v1.PayloadService.Get", "lockbox.payloadViewer"),
    ],
)
def test_which_role_to_look_at(call, role):
    said = str(ApiFail(call, "PERMISSION_DENIED", "Permission denied.", **FACTS))
    assert said.startswith(f"{call}: PERMISSION_DENIED: Permission denied. What to do: ") and f"need {role} or" in said


@pytest.mark.parametrize(
    ("code", "details", "advice"),
    [
        ("FAILED_PRECONDITION", "Subnet ranges overlap: 10.0.1.0/25 with 10.0.1.0/24", "choose a range that is free"),
        ("INVALID_ARGUMENT", "CIDR overlaps with subnet a", "choose a range that is free"),
        ("FAILED_PRECONDITION", "Network is not empty", "something stands in the way"),
    ],
)
def test_advice_follows_what_the_details_tell(code, details, advice):
    said = str(ApiFail("vpc.v1.SubnetService.Create", code, details, **FACTS))
    assert advice in said.partition(" What to do: ")[2]


def test_a_refused_token_is_told_as_that():
    error = ApiFail("vpc.v1.NetworkService.List", "UNAVAILABLE", WRAPPED, **FACTS)
    assert error.code == "UNAUTHENTICATED"
    assert "no IAM token: The JWT is expired. What to do: the credentials were refused (option token)" in str(error)
