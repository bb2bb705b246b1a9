"""The pipelines: as their makers' schemas want them, as the stages declare, and safe in what they may do when."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from stagecraft import cli
from stagecraft.delivery import common, declared, files, github, gitlab
from stagecraft.stages import Refused

REPOSITORY = Path(__file__).resolve().parents[3]
STAGES = {
    "mvp": "delivery: {deploy: automatic, image: true, rollback: true, url: https://mvp.example.com}\n",
    "partners": "delivery: {deploy: manual, runner: [inside]}\n",
    "prod": "delivery: {deploy: manual, branch: release, image: true, rollback: true}\n",
}
SCHEMAS = {".gitlab-ci.yml": "vendor.gitlab-ci", ".github/workflows/delivery.yml": "vendor.github-workflows"}
ACTING = ("deploy", "verify", "rollback")  # what acts on a stage


@pytest.fixture
def root(checkout):
    made = checkout(**STAGES)
    files.write()
    return made


@pytest.fixture
def jobs(root):
    """GitLab's and GitHub's jobs."""
    return gitlab.pipeline(declared.everything()), github.workflow(declared.everything())["jobs"]


def schema(file: Path, name: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", name, str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("name", "of"), SCHEMAS.items())
def test_the_committed_ones_are_what_their_makers_schemas_want(name, of):
    done = schema(REPOSITORY / name, of)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("name", "of"), SCHEMAS.items())
def test_they_are_what_their_makers_schemas_want(root, name, of):
    done = schema(root / name, of)
    assert done.returncode == 0, done.stdout
    broken = yaml.safe_load((root / name).read_text().replace("interruptible: true", "interruptible: maybe"))
    for job in broken.get("jobs", {}).values():
        job["runs-on"] = 12
    (root / "broken.yml").write_text(yaml.safe_dump(broken))
    assert schema(root / "broken.yml", of).returncode == 1  # the schema is really asked


def test_the_committed_ones_are_what_the_stages_declare_whatever_the_order_of_sets():
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "stagecraft", "ci", "--check"], cwd=REPOSITORY, capture_output=True, text=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_a_stale_file_is_named_and_written_anew(root):
    assert files.write() == [] and files.check() == []
    workflow = root / ".github/workflows/delivery.yml"
    workflow.write_text(workflow.read_text().replace("persist-credentials: false", "persist-credentials: true"))
    with pytest.raises(Refused, match=r"^\.github/workflows/delivery.yml: not what the stages declare. Run make ci"):
        files.check()
    assert files.write() == [Path(".github/workflows/delivery.yml")] and files.check() == []


def test_every_stage_has_its_jobs_and_no_other(jobs):
    pipeline, workflow = jobs
    assert [name for name in pipeline if ":" in name] == [
        *("check:mvp", "deploy:mvp", "verify:mvp", "rollback:mvp"),
        *("check:partners", "deploy:partners", "verify:partners"),
        *("check:prod", "deploy:prod", "verify:prod", "rollback:prod"),
    ]
    assert list(workflow) == [
        *(
            "lint",
            "test",
            "build-image",
            "check-mvp",
            "deploy-mvp",
            "rollback-mvp",
            "check-partners",
            "deploy-partners",
        ),
        *("check-prod", "deploy-prod", "rollback-prod"),
    ]
    assert pipeline["stages"] == ["lint", "test", "image", "check", "deploy", "verify", "rollback"]


def test_without_stages_there_are_lint_and_test(checkout):
    checkout()
    assert gitlab.pipeline([])["stages"] == ["lint", "test"]
    assert (
        list(github.workflow([])["jobs"]) == ["lint", "test"] and "workflow_dispatch" not in github.workflow([])["on"]
    )


def test_what_acts_on_a_stage_is_alone_uncut_on_its_branch_and_after_the_tests(jobs):
    pipeline, workflow = jobs
    for name, job in pipeline.items():
        kind, _, stage = name.partition(":")
        if kind in ACTING:
            branch = "release" if stage == "prod" else "main"
            assert job["resource_group"] == job["environment"]["name"] == stage and job["interruptible"] is False
            assert [rule["if"] for rule in job["rules"]] == [f'$CI_COMMIT_BRANCH == "{branch}"']
        if kind == "deploy":
            assert job["needs"][:2] == ["lint", "test"] and ("build-image" in job["needs"]) == (stage != "partners")
            assert job["rules"][0].get("when") == (None if stage == "mvp" else "manual")
            assert "allow_failure" not in job["rules"][0]  # what failed by hand failed
    for name, job in workflow.items():
        kind, _, stage = name.partition("-")
        if kind in ACTING:
            branch = "release" if stage == "prod" else "main"
            assert job["concurrency"] == {"group": f"stage-{stage}", "cancel-in-progress": False}
            assert job["if"].startswith(f"github.ref == 'refs/heads/{branch}' && ")
        if kind == "deploy":
            assert job["needs"][:2] == ["lint", "test"] and ("push" in job["if"]) == (stage == "mvp")


def test_only_what_talks_to_a_stage_gets_a_token_and_what_looks_never_that_of_a_deployment(jobs):
    pipeline, workflow = jobs
    for name, job in pipeline.items():
        kind = name.partition(":")[0]
        if ":" in name or kind in ("lint", "test", "build-image"):
            assert ("id_tokens" in job) == ("environment" in job) == (kind in ("check", *ACTING)), name
        if kind == "check":
            assert job["environment"] == {"name": f"{name.partition(':')[2]}-check", "action": "access"}
    for name, job in workflow.items():
        kind = name.partition("-")[0]
        token = job.get("permissions", {}).get("id-token") == "write"
        assert token == ("environment" in job) == (kind in ("check", *ACTING)), name
        if kind == "check":
            assert "head.repo.full_name == github.repository" in job["if"]


def test_no_secret_and_no_moving_action_is_in_them(root):
    for name in SCHEMAS:
        text = (root / name).read_text()
        assert "secrets." not in text and "YC_TOKEN" not in text and "KEY" not in text
    uses = [line.split("uses: ")[1] for line in text.splitlines() if "uses: " in line]
    assert uses and all(len(use.split("@")[1].split(" # v")[0]) == 40 for use in uses)


def test_runners_are_those_that_are_declared(jobs):
    pipeline, workflow = jobs
    assert "tags" not in pipeline["build-image"]  # neither of its stages says which
    assert pipeline["deploy:partners"]["tags"] == workflow["deploy-partners"]["runs-on"] == ["inside"]
    assert "tags" not in pipeline["deploy:mvp"] and workflow["deploy-mvp"]["runs-on"] == github.RUNNER


def commands(job: dict) -> list[str]:
    """What a job runs, a line each, whoever's it is."""
    steps = [step["run"] for step in job.get("steps", ()) if "run" in step]
    return [line for text in [*job.get("script", ()), *steps] for line in text.splitlines()]


def test_every_command_is_one_that_this_checkout_has_and_takes_what_it_is_given(jobs):
    known = {command.name or command.callback.__name__: command for command in cli.app.registered_commands}
    recipes = dict(re.findall(r"^([a-z-]+):.*\n\t(.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    lines = {line for kind in jobs for job in kind.values() if isinstance(job, dict) for line in commands(job)}
    assert len(lines) > 10
    for line in lines - {common.SETUP}:
        make, target, *_ = line.split()
        assert make == "make" and target in recipes, line
        command = re.search(r"\$\(RUN\) ([a-z-]+)", recipes[target])
        taken = get_command(cli.app).commands[command[1]].params if command and command[1] in known else []
        options = {option for one in taken for option in one.opts}
        given = set(re.findall(r"(?<=[ '])--?[a-z-]+", line))
        assert given <= options, f"{line}: {target} takes {options}"
        assert not given or "$(ARGS)" in recipes[target], line


def test_a_request_to_merge_is_shown_what_would_change(jobs):
    for each in jobs:
        check = next(job for name, job in each.items() if name in ("check:mvp", "check-mvp"))
        (said,) = [line for line in commands(check) if "STAGE=" in line]
        assert said == "make plan STAGE=mvp ARGS='--comment build/state/mvp/plan.md -e image_built=true'"
        kept = str(check.get("artifacts") or check["steps"][-1])
        assert "build/state/mvp/logs/" in kept and "build/state/mvp/plan.md" in kept


def test_only_what_looks_may_comment_and_only_the_step_that_does_has_the_token(jobs):
    for name, job in jobs[1].items():
        looks = name.startswith("check-")
        assert ("pull-requests" in job.get("permissions", {})) == looks, name
        assert set(job.get("permissions", {}).values()) <= {"read", "write"}
        having = [step["name"] for step in job["steps"] if "GITHUB_TOKEN" in step.get("env", {})]
        assert having == (["Plan"] if looks else []), name
