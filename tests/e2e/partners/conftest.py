"""One rehearsal for all files of this folder, which go on from each other in the order of their names."""

from __future__ import annotations

import pytest
from commands import a_machine_of_our_own

from .partners_stage import STAGE


@pytest.fixture(scope="package", autouse=True)
def _a_machine_of_our_own(tmp_path_factory):
    yield from a_machine_of_our_own(STAGE, tmp_path_factory.mktemp("state"))
