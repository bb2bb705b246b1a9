"""What a stage is thought to use up of quotas is what the cloud counts once the stage is there; and what a survey says."""

from __future__ import annotations

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils.errors import ApiFail
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs import folder, survey
from ansible_collections.stagecraft.platform.plugins.plugin_utils.jobs.stack import flat
from engine_runs import VARIABLES, Engine

from rehearsal.cloud import admin, server
from stagecraft import chaos, stages
from stagecraft.accept import needs

QUOTA = "vpc.networks.count"


class Said:
    """Takes what a job would answer with."""

    def hide(self, values: list[str]) -> None: ...

    def notice(self, text: str) -> None: ...


@pytest.fixture
def alone(tmp_path):
    """An emulator of the test's own, with the limits that the cloud publishes."""
    emulator = server.start(tmp_path / "cloud", quotas=True)
    yield emulator
    emulator.stop()


@pytest.fixture
def ask(alone):
    """Run a job as its process would."""
    reach = {option: alone.env[variable] for option, variable in VARIABLES.items()}

    def run(job, **request):
        return job.run({"connection": reach, "cloud": alone.cloud.cloud_id, **request}, Said())

    return run


@pytest.mark.parametrize("name", ["mvp", "partners"])
def test_what_is_needed_is_what_is_used_up(alone, name):
    declared = chaos.declarations(stages.stage(name), alone.env["YC_FOLDER_ID"])
    wanted = needs.wanted(stages.stage(name), declared)
    before = used(alone)
    Engine.at(alone).build(flat(declared))
    counted = {quota: amount - before[quota] for quota, amount in used(alone).items() if amount != before[quota]}
    wanted[needs.LEASE] -= 1  # a lease is there while somebody applies
    assert wanted == counted


def used(emulator) -> dict[str, int]:
    return {row["name"]: row["usage"] for row in admin.ask(emulator.folder, "quotas.list")}


def test_what_may_not_be_asked_is_named(ask, alone):
    told = ask(survey, quotas=[QUOTA])
    assert told["unread"] == dict.fromkeys(("the folders", f"the quota {QUOTA}"), "PERMISSION_DENIED")
    member = ["resource-manager.clouds.member", "serviceAccount", told["account"]]
    assert told["account"] == alone.cloud.identity.oauth[1] and told["bindings"] == [member] and not told["quotas"]


def test_what_is_asked_is_told(ask, alone):
    admin.ask(alone.folder, "roles.grant", role="admin")
    told = ask(survey, quotas=[QUOTA, "vpc.unicorns.count"])
    assert told["quotas"] == {QUOTA: [2, 0]} and told["folders"] == ["default"]
    assert told["unread"] == {"the quota vpc.unicorns.count": "NOT_FOUND"}
    assert ["admin", "serviceAccount", told["account"]] in told["bindings"]


def test_a_folder_is_made_once_found_again_and_gone_when_it_is_said_to_be(ask, alone):
    admin.ask(alone.folder, "roles.grant", role="admin")
    assert ask(folder, name="mine", state="info") == {"id": ""}
    made = ask(folder, name="mine", state="present", description="A trial")
    assert ask(folder, name="mine", state="present") == ask(folder, name="mine", state="info") == made
    assert ask(folder, name="mine", state="absent") == ask(folder, name="mine", state="absent") == {"id": ""}
    assert [one.name for one in alone.cloud.all("resourcemanager.v1.Folder")] == ["default", "standard-images"]


def test_an_answer_that_was_lost_makes_no_second_folder(ask, alone):
    admin.ask(alone.folder, "roles.grant", role="admin")
    alone.faults.add("resourcemanager.v1.FolderService.Create", effect="lose", code="UNAVAILABLE")
    assert ask(folder, name="mine", state="present")["id"]
    assert len(alone.cloud.all("resourcemanager.v1.Folder")) == 3


def test_a_folder_that_may_not_be_made_is_said_in_the_cloud_s_words(ask):
    with pytest.raises(ApiFail, match=r"FolderService\.List: PERMISSION_DENIED"):
        ask(folder, name="mine", state="present")
