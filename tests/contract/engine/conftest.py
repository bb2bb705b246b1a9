"""An emulated cloud for the engine's tests."""

from __future__ import annotations

import pytest
from engine_runs import Engine

from rehearsal.cloud import server


@pytest.fixture(scope="session")
def shared_cloud(tmp_path_factory):
    emulator = server.start(tmp_path_factory.mktemp("cloud"))
    yield emulator
    emulator.stop()


@pytest.fixture
def cloud(shared_cloud):
    yield shared_cloud
    shared_cloud.faults.clear()


@pytest.fixture
def engine(cloud, monkeypatch) -> Engine:
    for variable in ("YC_FOLDER_ID", "YC_TOKEN", "YC_IAM_TOKEN", "YC_SERVICE_ACCOUNT_KEY_FILE", "YC_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)
    return Engine.at(cloud)
