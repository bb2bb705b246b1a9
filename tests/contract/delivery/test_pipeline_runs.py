"""The generated pipeline of small stages, really run: what runs when, what is handed on, and what follows a failure."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
import small_stage
from gitlab_ci import commit, kept

MVP = "{deploy: automatic, image: true, rollback: true, url: https://mvp.example.com}"
PILOT = "{deploy: manual, image: true}"
MERGE_REQUEST = {
    "CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_IID": "3",
}  # fmt: skip
BUILT = ["lint", "test", "build-image"]


@pytest.fixture
def stages(checkout, cloud):
    small_stage.lay(checkout, mvp=MVP, pilot=PILOT)
    commit(checkout)
    forget(cloud)
    return checkout


def forget(cloud) -> None:
    """Empty the folder: a stage owns it alone, and the one of the test before is gone."""
    for network in cloud.cloud.all("vpc.v1.Network"):
        cloud.cloud.store.drop("vpc.v1.Network", network.id)


@pytest.fixture
def labels(cloud):
    """The labels of a stage's network, as the cloud has it now; None where it has none."""

    def ask(stage: str) -> dict[str, str] | None:
        return next((dict(one.labels) for one in cloud.cloud.all("vpc.v1.Network") if one.name == stage), None)

    return ask


def release(checkout, what: str) -> None:
    (checkout / "release.txt").write_text(f"{what}\n")
    commit(checkout)


def test_the_life_of_an_automatic_stage(stages, pipeline, labels, exchange):
    done = pipeline("verify:mvp", "--needs")
    assert done.code == 0, done.output
    assert done.results == dict.fromkeys([*BUILT, "deploy:mvp", "verify:mvp"], "PASS")
    assert all(done.before(job, "deploy:mvp") for job in BUILT) and done.before("deploy:mvp", "verify:mvp")
    assert "deploy:mvp environment: { name: mvp, url: https://mvp.example.com }" in done.output
    assert {"serves": "good-1", "image": "sha256-of-it", "before": "nothing"}.items() <= labels("mvp").items()
    assert exchange.granted == 2  # the jobs came with nothing but their own token
    assert kept(stages, "deploy", "*-mvp.log")
    cases = list(ElementTree.parse(kept(stages, "verify", "verify.xml")).iter("testcase"))
    assert [case.get("name") for case in cases] == ["test_what_serves_is_good"]

    release(stages, "bad-2")
    done = pipeline("verify:mvp", "--needs")
    assert done.code == 1 and done.results["deploy:mvp"] == "PASS" and done.results["verify:mvp"] == "FAIL", done.output
    assert "test_what_serves_is_good" in done.output and labels("mvp")["serves"] == "bad-2"

    done = pipeline("rollback:mvp")
    assert done.code == 0 and done.results == {"rollback:mvp": "PASS"}, done.output
    assert "mvp: rolled back in" in done.output and "mvp: 1 checks passed in" in done.output
    assert labels("mvp")["serves"] == "good-1"

    release(stages, "No label!")
    done = pipeline("verify:mvp", "--needs")
    assert done.code == 1 and done.results == dict.fromkeys(BUILT, "PASS") | {"deploy:mvp": "FAIL"}, done.output
    assert "mvp.yml failed" in done.output and "verify:mvp starting" not in done.output
    assert labels("mvp")["serves"] == "good-1"  # a deployment that failed has changed nothing


def test_nothing_is_deployed_where_the_image_cannot_be_built(stages, pipeline, labels):
    makefile = stages / "Makefile"
    makefile.write_text(makefile.read_text().replace("@mkdir -p build/image &&", "@false &&"))
    commit(stages)
    done = pipeline("verify:mvp", "--needs")
    assert done.code == 1 and done.results["build-image"] == "FAIL" and "deploy:mvp" not in done.results
    assert labels("mvp") is None


def test_a_stage_by_hand_waits_for_a_person(checkout, cloud, pipeline, jobs, labels):
    small_stage.lay(checkout, pilot=PILOT)
    commit(checkout)
    forget(cloud)
    starts = {name: job["when"] for name, job in jobs().items() if name.endswith(":pilot")}
    assert starts == {"deploy:pilot": "manual", "verify:pilot": "on_success"}
    assert "deploy:pilot is when:manual" in pipeline().output and labels("pilot") is None
    done = pipeline("--manual", "deploy:pilot")
    assert done.code == 0 and done.results["deploy:pilot"] == done.results["verify:pilot"] == "PASS", done.output
    assert labels("pilot")["serves"] == "good-1"


def test_a_request_to_merge_sees_what_would_change_and_changes_nothing(stages, pipeline, jobs, labels):
    commit(stages, "feature")
    assert set(jobs(**MERGE_REQUEST)) == {"lint", "test", "build-image", "check:mvp", "check:pilot"}
    done = pipeline("check:mvp", "--needs", **MERGE_REQUEST)
    assert done.code == 0 and done.results["check:mvp"] == "PASS", done.output
    assert "mvp: 1 to create, 0 to change" in done.output and labels("mvp") is None
    assert "no comment: STAGECRAFT_COMMENT_TOKEN is not set" in done.output
    assert "serves: good-1" in kept(stages, "check", "*-plan.log").read_text()  # the difference is handed on
    assert "`vpc_network mvp`" in kept(stages, "check", "plan.md").read_text()


def test_a_request_to_merge_has_its_plan_as_one_comment(stages, pipeline, labels, variables, merge_request):
    told = merge_request.gitlab()
    variables["STAGECRAFT_COMMENT_TOKEN"] = told.pop("STAGECRAFT_COMMENT_TOKEN")
    told |= MERGE_REQUEST
    for release_of in ("good-1", "good-2"):
        (stages / "release.txt").write_text(f"{release_of}\n")
        commit(stages, "feature")
        done = pipeline("check:mvp", "--needs", **told)
        assert done.code == 0 and done.results["check:mvp"] == "PASS", done.output
        (note,) = merge_request.comments
        assert "mvp: 1 to create" in note["body"] and release_of in note["body"] and labels("mvp") is None
        for secret in (merge_request.TOKEN, variables["YC_ID_TOKEN"]):
            assert secret not in note["body"] + done.output


def test_a_branch_of_its_own_runs_nothing_before_there_is_a_request_to_merge(stages, jobs):
    commit(stages, "feature")
    assert not {name for name in jobs() if ":" in name}


def test_a_job_whose_token_is_not_trusted_touches_nothing(stages, pipeline, labels, variables, exchange):
    variables["YC_ID_TOKEN"] = exchange.token(sub="project_path:other/fork:ref_type:branch:ref:main")
    done = pipeline("deploy:mvp", "--needs")
    assert done.code == 1 and done.results["deploy:mvp"] == "FAIL" and labels("mvp") is None
    assert "no federated credential has this subject" in done.output and "sub 'project_path:other/fork" in done.output
    assert variables["YC_ID_TOKEN"] not in done.output
