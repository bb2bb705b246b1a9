"""Pipelines against an emulated cloud that trusts the tokens of their jobs."""

from __future__ import annotations

import functools

import gitlab_ci
import pytest
from merge_request import MergeRequest
from token_exchange import Exchange

from rehearsal.cloud import server


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    emulator = server.start(tmp_path_factory.mktemp("cloud"), delay=0.02)
    yield emulator
    emulator.stop()


@pytest.fixture
def exchange(cloud):
    """Who trusts the tokens of jobs, for the account that may do everything in the folder."""
    service = Exchange(gitlab_ci.account(cloud.env), lambda account: cloud.cloud.identity.grant(account)[0])
    yield service
    service.stop()


@pytest.fixture
def merge_request():
    """The server that has the comments of the request to merge."""
    server = MergeRequest()
    yield server
    server.stop()


@pytest.fixture
def checkout(tmp_path):
    """A copy of this checkout's files, as they are now."""
    return gitlab_ci.copied(tmp_path / "checkout")


@pytest.fixture
def variables(cloud, exchange):
    """What a job finds in its environment."""
    return gitlab_ci.environment(cloud.env, exchange)


@pytest.fixture
def pipeline(checkout, variables):
    """Run jobs of the committed checkout; what is given by name are predefined variables of the pipeline."""
    return functools.partial(gitlab_ci.run, checkout, variables)


@pytest.fixture
def jobs(checkout, variables):
    """The jobs that a pipeline of the checkout would have."""
    return functools.partial(gitlab_ci.listed, checkout, variables)
