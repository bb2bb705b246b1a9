"""`.gitlab-ci.yml`: lint and test once, then image, check, deploy, verify and rollback of each stage."""

from __future__ import annotations

from typing import Any

from stagecraft.delivery import common
from stagecraft.delivery.declared import Delivery

Job = dict[str, Any]
STAGES = ("lint", "test", "image", "check", "deploy", "verify", "rollback")
MERGE_REQUEST = '$CI_PIPELINE_SOURCE == "merge_request_event"'
TOKEN = {"YC_ID_TOKEN": {"aud": "$CI_SERVER_URL"}}  # exchanged for an IAM token by the command itself


def pipeline(deliveries: list[Delivery]) -> dict[str, Any]:
    """The whole file, as data."""
    jobs = {"lint": lint(), "test": test()}
    if imaged := [one for one in deliveries if one.image]:
        jobs[common.IMAGE_JOB] = image(imaged)
    for one in deliveries:
        jobs |= of_stage(one)
    used = [stage for stage in STAGES if any(job["stage"] == stage for job in jobs.values())]
    branches = sorted({one.branch for one in deliveries} or {"main"})
    return {
        "stages": used,
        "workflow": {
            "auto_cancel": {"on_new_commit": "interruptible"},
            "rules": [{"if": MERGE_REQUEST}, *({"if": on(branch)} for branch in branches)],
        },
        "variables": common.FOLDERS,
        "default": {
            "image": common.IMAGE,
            "interruptible": True,
            "timeout": "1h",
            "retry": {"max": 1, "when": ["runner_system_failure", "stuck_or_timeout_failure"]},
            "cache": cache("pull"),
            "before_script": [common.SETUP],
        },
        **jobs,
    }


def cache(policy: str) -> Job:
    return {"key": {"files": [common.LOCK]}, "paths": common.DOWNLOADS, "policy": policy}


def on(branch: str) -> str:
    return f'$CI_COMMIT_BRANCH == "{branch}"'


def lint() -> Job:
    return {
        "stage": "lint", "needs": [], "cache": cache("pull-push"), "script": [common.LINT],
        "artifacts": {"when": "always", "paths": [f"{common.STATE}/tests/"], "expire_in": "1 week"},
    }  # fmt: skip


def test() -> Job:
    return lint() | {"stage": "test", "cache": cache("pull"), "script": [common.TEST]}


def image(deliveries: list[Delivery]) -> Job:
    """The image that these stages run; requests to merge build it too."""
    return {
        "stage": "image", "needs": [], "script": common.BUILD, **tagged(common.runner(deliveries)),
        "rules": [{"if": MERGE_REQUEST}, *({"if": on(branch)} for branch in sorted({one.branch for one in deliveries}))],
        "artifacts": {"paths": [common.IMAGES], "expire_in": "1 week"},
    }  # fmt: skip


def of_stage(one: Delivery) -> dict[str, Job]:
    """The jobs of one stage by their names."""
    deploy, built = f"deploy:{one.stage}", [common.IMAGE_JOB] if one.image else []
    jobs: dict[str, Job] = {}
    jobs[f"check:{one.stage}"] = {
        "stage": "check", "needs": ["lint", *built], "script": [common.check(one)],
        "environment": {"name": common.reader(one), "action": "access"}, "id_tokens": TOKEN,
        "rules": [{"if": f"{MERGE_REQUEST} && $CI_MERGE_REQUEST_TARGET_BRANCH_NAME == \"{one.branch}\""}],
        "allow_failure": True,  # it informs, and guards nothing
        "artifacts": kept(one, common.plan(one)),
    }  # fmt: skip
    jobs[deploy] = {
        "stage": "deploy", "needs": ["lint", "test", *built], "script": common.deploy(one),
        **acting(one, common.environment(one) | {"action": "start"}),
        "rules": [{"if": on(one.branch)} | ({} if one.automatic else {"when": "manual"})],
        "artifacts": kept(one, common.MODELS),
    }  # fmt: skip
    jobs[f"verify:{one.stage}"] = {
        "stage": "verify", "needs": [deploy], "script": [common.make("verify", one)],
        **acting(one, {"name": one.stage, "action": "verify"}),
        "rules": [{"if": on(one.branch)}],
        "artifacts": checked(one),
    }  # fmt: skip
    if one.rollback:
        jobs[f"rollback:{one.stage}"] = {
            "stage": "rollback", "needs": [],  # also where a deployment failed or still waits
            "script": [common.make("rollback", one), common.make("verify", one)],
            **acting(one, common.environment(one) | {"action": "start"}),
            "rules": [{"if": on(one.branch), "when": "manual", "allow_failure": True}],  # no pipeline waits for it
            "retry": 0,  # each run goes back another step
            "artifacts": checked(one),
        }  # fmt: skip
    return {name: job | tagged(common.runner([one])) for name, job in jobs.items()}


def tagged(labels: list[str]) -> Job:
    return {"tags": labels} if labels else {}


def acting(one: Delivery, environment: Job) -> Job:
    """What jobs have that act on a stage: one at a time, never cut off, with a token of their own."""
    return {"environment": environment, "resource_group": one.stage, "interruptible": False, "id_tokens": TOKEN}


def kept(one: Delivery, *paths: str) -> Job:
    """Logs, whatever became of the job, for those who work on the project."""
    return {"when": "always", "access": "developer", "paths": [common.logs(one), *paths], "expire_in": "30 days"}


def checked(one: Delivery) -> Job:
    """What a verification leaves: its report too, which GitLab shows."""
    return kept(one, common.report(one)) | {"reports": {"junit": common.report(one)}}
