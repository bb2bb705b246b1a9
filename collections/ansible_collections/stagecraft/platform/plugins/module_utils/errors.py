"""The cloud's errors in the user's words: the API's code, and what to do next. The only place that translates them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .declaration import Fail

ADVICE = {
    "UNAUTHENTICATED": "the credentials were refused ({credentials}): is the key deleted, the token expired, or "
    "this machine's clock wrong (it says {now})?",
    "PERMISSION_DENIED": "look at the roles of whom these credentials belong to ({credentials}): "
    "on the folder they need {role} or editor",
    "ALREADY_EXISTS": "something else has this name, perhaps in another folder: choose another one",
    "NOT_FOUND": "is the value spelled as the cloud spells it, and is it in this folder?",
    "INVALID_ARGUMENT": "the cloud does not accept a value: correct it in the declaration",
    "FAILED_PRECONDITION": "something stands in the way, often what still uses it, or deletion_protection",
    "OVERLAP": "another one in the same network has some of these addresses: choose a range that is free",
    "RESOURCE_EXHAUSTED": "too many calls at once for {patience} s: run the same again a little later",
    "QUOTA": "a quota of the cloud is used up: ask for more of it{request}, or delete what is not needed",
    "UNAVAILABLE": "the API at {endpoint} did not answer for {patience} s: check the endpoint (YC_ENDPOINT) "
    "and the network, then run the same again",
    "UNTRUSTED": "name the file with its certificate authority in root_certificates (YC_ROOT_CERTIFICATES), and check "
    "that {endpoint} is the endpoint that is meant",
    "UNIMPLEMENTED": "the API at {endpoint} does not have this call: is the endpoint (YC_ENDPOINT) right?",
    "INTERNAL": "this is an error of the cloud: run the same again, and tell its support if it stays",
    "NOT_STARTED": "what served before goes on serving; look at the image, and at what it is given to run with, then run "
    "the same again",
    "CANCELLED": "somebody cancelled the operation: run the same again",
}

STARTS = ("DeployRevision", "Rollback")  # methods that end when what they are about has started


def clock() -> str:
    """What this machine's clock says, for whoever has to judge whether that is right."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


class ApiFail(Fail):
    """The API refused a call; `code` is the name of the gRPC status, `quotas` are the violations in its details."""

    def __init__(self, call: str, code: str, details: str, quotas: Sequence[Any] = (), **facts: object) -> None:
        code, details = unwrapped(code, details)
        self.code = code
        facts |= {"role": role(call), "request": quota_request(quotas), "now": clock()}
        advice = ADVICE.get(reason(code, details, quotas, call), "").format_map(facts)
        if quotas:
            metrics = [(q.metric.name, q.metric.limit, q.metric.usage, q.required) for q in quotas]
            numbers = "; ".join("{}: limit {}, used {:.0f}, needed {}".format(*metric) for metric in metrics)
            details = f"{details.rstrip('.')} ({numbers})"
        super().__init__(f"{call}: {code}: {details.rstrip('.')}" + (f". What to do: {advice}" if advice else ""))


class NoService(Fail):
    """The cloud at this endpoint names no address for a service."""


def role(call: str) -> str:
    """The role of the service that a call belongs to, as the cloud names it."""
    if call.startswith("lockbox.v1.PayloadService."):
        return "lockbox.payloadViewer"
    package = call.split(".")[0]
    names = {
        "certificatemanager": "certificate-manager.editor",
        "containerregistry": "container-registry.admin",
        "mdb": f"managed-{call.split('.')[1]}.editor",
        "resourcemanager": "resource-manager.admin",
        "iam": "iam.admin",
        "serverless": "serverless-containers.admin" if ".containers." in call else "api-gateway.editor",
    }
    return names.get(package, f"{package}.editor")


def unwrapped(code: str, details: str) -> tuple[str, str]:
    """What was really refused: the SDK calls a refused exchange of tokens, too, that the API is not available."""
    inner = re.search(r"StatusCode\.(\w+)\W+details = \"([^\"]*)", details)
    if inner:
        code, details = inner[1], f"no IAM token: {inner[2]}"
    if "CERTIFICATE_VERIFY_FAILED" in details:
        return "UNTRUSTED", "the certificate of the API is not signed by anybody trusted here"
    if code == "DEADLINE_EXCEEDED":
        return "UNAVAILABLE", "no IAM token: no answer in time" if inner else "no answer in time"
    return code, details


def reason(code: str, details: str, quotas: Sequence[Any] = (), call: str = "") -> str:
    """Which advice fits: the code's own, or that of what the details tell more exactly."""
    if is_quota(code, details, quotas):
        return "QUOTA"
    if code == "INTERNAL" and call.rpartition(".")[2] in STARTS:
        return "NOT_STARTED"
    refused = code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT")
    return "OVERLAP" if refused and "overlap" in details.lower() else code


def is_quota(code: str, details: str, quotas: Sequence[Any] = ()) -> bool:
    """Whether a quota is used up. Some services say so in words only; the limit of operations at a time is no quota."""
    words = details.lower()
    said = "quota" in words or (words.startswith("the limit on") and "active operations" not in words)
    return code == "RESOURCE_EXHAUSTED" and (bool(quotas) or said)


def quota_request(quotas: Sequence[Any]) -> str:
    """The command that asks for more, in brackets; nothing where no quota is known."""
    return f" ({more_of({q.metric.name: q.required for q in quotas})})" if quotas else ""


def more_of(limits: Mapping[str, float], cloud: str = "<cloud id>") -> str:
    """The command that asks for these limits of a cloud, by the ids of its quotas."""
    wanted = " ".join(f"--desired-limit quota-id={name},value={limit:.0f}" for name, limit in limits.items())
    command = "yc quota-manager quota-request create --resource-type resource-manager.cloud"
    return f"{command} --resource-id {cloud} {wanted}"


def is_transient(code: str, details: str, quotas: Sequence[Any] = ()) -> bool:
    """Whether the same call can succeed a little later: a quota that is used up does not come back by waiting."""
    code, details = unwrapped(code, details)
    return code == "UNAVAILABLE" or (code == "RESOURCE_EXHAUSTED" and not is_quota(code, details, quotas))


def is_conflict(details: str) -> bool:
    """Another operation on the same resource, or on its cluster, is still going on: it ends by itself."""
    return any(words in (details or "").lower() for words in ("conflicting operation", "is in progress"))
