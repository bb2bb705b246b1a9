"""What the checks of all stages have in common: what they know of the stage, its digits, and how answers are read."""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PREDICT = "/v1/predict/digits"
BATCH = 60  # rows a request


@dataclass(frozen=True)
class Facts:
    """The stage under check, as the playbook described it."""

    facts: dict = field(repr=False)  # it holds every secret, and pytest writes what a failed check was called with

    @classmethod
    def read(cls):
        return cls(json.loads(Path(os.environ["STAGECRAFT_VERIFY"]).read_text()))

    def secret(self, name: str, key: str) -> str:
        return self.facts["secrets"][name][key]


def pytest_runtest_setup(item):
    """Says which check is running, for the `stagecraft` command to show."""
    if path := os.environ.get("STAGECRAFT_PROGRESS"):
        items = item.session.items
        Path(path).write_text(f"check {items.index(item) + 1} of {len(items)}, {item.name}")


@pytest.fixture(scope="session")
def heldout(stage):
    return heldout_of(stage)


def heldout_of(stage):
    """Digits that no model has seen: (images, labels)."""
    data = json.loads(Path(stage.facts["heldout"]).read_text())
    return data["images"], data["labels"]


def until[Answer](asked: Callable[[], Answer], good: Callable[[Answer], object], seconds: float = 60) -> Answer:
    """The first answer that is good, or the last one after so many seconds: what has just started needs a moment."""
    deadline = time.monotonic() + seconds
    while not good(answer := asked()) and time.monotonic() < deadline:
        time.sleep(1)
    return answer


def days_left(name, address, authority, port=443):
    """For how many days a name's certificate still holds; a failed check, in plain words, where it is not good now."""
    trusted = ssl.create_default_context(cafile=authority or None)
    try:
        with (
            socket.create_connection((address, port), 10) as plain,
            trusted.wrap_socket(plain, server_hostname=name) as tls,
        ):
            return (ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"]) - time.time()) / 86400
    except ssl.SSLCertVerificationError as error:
        pytest.fail(f"{name}: clients refuse its certificate: {error.verify_message}")


def labels(answer):
    """The label of each row, which is a list of one whichever engine answers."""
    return [label for (label,) in answer["outputs"]["label"]]


def recognised(client, key, heldout, version):
    """The share of the held-out digits that a version of the model recognises."""
    images, expected = heldout
    said = []
    for start in range(0, len(images), BATCH):
        body = {"inputs": images[start : start + BATCH], "version": version}
        answer = client.post(PREDICT, headers=key, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] == version
        said += labels(answer.json())
    assert len(expected) >= 300
    return sum(a == b for a, b in zip(said, expected, strict=True)) / len(expected)


def problem(answer, status):
    """What an answer that is an error says (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == status
    return answer.json()
