"""How the checks of a stage of containers talk to it: as a client of the gateway, and to the container past it."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared import Facts, heldout, pytest_runtest_setup

__all__ = ["heldout", "pytest_runtest_setup"]  # pytest finds them here
COLD = 60  # seconds for the first answer of a container that had no instance


@pytest.fixture(scope="session")
def stage() -> Facts:
    return Facts.read()


def client(stage: Facts, url: str) -> httpx.Client:
    """A client of one address, which trusts the stage's authority only."""
    return httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=stage.facts["ca"] or None), timeout=COLD)


@pytest.fixture(scope="session")
def gateway(stage):
    """The client that most checks share."""
    with client(stage, f"https://{stage.facts['entry']['hostname']}") as found:
        yield found


@pytest.fixture(scope="session")
def key(stage) -> dict[str, str]:
    """Headers that carry a good API key."""
    return {"X-API-Key": stage.secret("api-key-verify", "api_key")}
