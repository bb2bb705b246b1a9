"""Which of two places a command means, where a rehearsal of the stage is up."""

import pytest

from rehearsal import environment
from stagecraft import target
from stagecraft.stages import Refused, Stage
from stagecraft.target import Where

REHEARSED, OTHER = "b1grehearsed", "b1gother"
STAGE = Stage("mvp")


@pytest.fixture(autouse=True)
def a_rehearsal(monkeypatch):
    """One is up, and nothing in the environment points elsewhere."""
    for name in (*target.CREDENTIALS, "YC_FOLDER_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment, "is_up", lambda name: True)
    monkeypatch.setattr(environment, "environment", lambda name: {"YC_FOLDER_ID": REHEARSED})
    monkeypatch.setattr(environment, "netns", lambda name: None)


@pytest.mark.parametrize("folder", ["", REHEARSED])
def test_it_is_the_rehearsal_where_nothing_else_is_named(monkeypatch, folder):
    monkeypatch.setenv("YC_FOLDER_ID", folder)
    assert target.target_of(STAGE).rehearsed


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("YC_FOLDER_ID", OTHER, f"YC_FOLDER_ID names another folder, {OTHER}"), ("YC_TOKEN", "t", "YC_TOKEN points")],
)
def test_what_may_mean_the_cloud_is_asked_about(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match=said):
        target.target_of(STAGE)
    assert target.target_of(STAGE, Where.REHEARSAL).rehearsed
