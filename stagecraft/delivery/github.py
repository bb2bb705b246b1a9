"""`.github/workflows/delivery.yml`: the same jobs as GitLab's, in the words of GitHub Actions.

A deployment and its checks are one job here: a concurrency group keeps only one waiting job, so that a waiting deployment
would be dropped for the checks of the one before it.
"""

from __future__ import annotations

from typing import Any

from stagecraft.delivery import common
from stagecraft.delivery.declared import Delivery

Job = dict[str, Any]
RUNNER = "ubuntu-24.04"
# Actions by commit, because a tag can be moved; the versions are written beside them.
CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"
DOWNLOADS = "actions/cache@5a3ec84eff668545956fd18022155c47e93e2684"
UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02"
DOWNLOAD = "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093"
VERSIONS = {CHECKOUT: "v4.2.2", DOWNLOADS: "v4.2.3", UPLOAD: "v4.6.2", DOWNLOAD: "v4.3.0"}
OUR_OWN = "github.event.pull_request.head.repo.full_name == github.repository"  # a fork's job gets no token
UNLESS_ROLLBACK = "inputs.action != 'rollback'"
TOKEN = {"contents": "read", "id-token": "write"}  # one of its own, exchanged for an IAM token by the command itself
ACCOUNT = {
    name: f"${{{{ vars.{name} }}}}" for name in ("YC_FOLDER_ID", "YC_SERVICE_ACCOUNT_ID", "STAGECRAFT_OPERATORS")
}


def workflow(deliveries: list[Delivery]) -> dict[str, Any]:
    """The whole file, as data."""
    jobs = {"lint": check(common.LINT), "test": check(common.TEST)}
    if imaged := [one for one in deliveries if one.image]:
        jobs[common.IMAGE_JOB] = image(imaged)
    for one in deliveries:
        jobs |= of_stage(one)
    return {
        "name": "Delivery",
        "on": {
            "push": {"branches": sorted({one.branch for one in deliveries} or {"main"})},
            "pull_request": {},
            **({"workflow_dispatch": {"inputs": inputs(deliveries)}} if deliveries else {}),
        },
        "permissions": {"contents": "read"},
        # A new push to a pull request ends the older run; nothing else is ever cut off.
        "concurrency": {
            "group": "${{ github.workflow }}-${{ github.event_name == 'pull_request' && github.ref || github.run_id }}",
            "cancel-in-progress": True,
        },
        "env": common.FOLDERS,
        "defaults": {"run": {"shell": "bash"}},
        "jobs": jobs,
    }


def inputs(deliveries: list[Delivery]) -> Job:
    """What a person chooses who starts the workflow by hand."""
    actions = ["deploy", *(["rollback"] if any(one.rollback for one in deliveries) else [])]
    choices = {"stage": [one.stage for one in deliveries], "action": actions}
    said = {"stage": "The stage", "action": "What to do"}
    return {
        name: {"description": said[name], "required": True, "type": "choice", "options": options}
        for name, options in choices.items()
    }


def steps(*own: Job) -> list[Job]:
    key = f"${{{{ runner.os }}}}-${{{{ hashFiles('{common.LOCK}') }}}}"
    return [
        {"uses": CHECKOUT, "with": {"persist-credentials": False}},
        {"uses": DOWNLOADS, "with": {"path": "\n".join(common.DOWNLOADS), "key": key}},
        {"name": "Set up", "run": common.SETUP},
        *own,
    ]  # fmt: skip


def run(name: str, command: str) -> Job:
    return {"name": name, "run": command}


def upload(name: str, *paths: str, when: str = "always()") -> Job:
    given = {"name": name, "path": "\n".join(paths), "if-no-files-found": "ignore"}
    return {"if": when, "uses": UPLOAD, "with": given}


def check(command: str) -> Job:
    """A job that needs no stage."""
    own = run("Run", command), upload("logs-${{ github.job }}", f"{common.STATE}/tests/")
    return base() | {"if": UNLESS_ROLLBACK, "steps": steps(*own)}


def image(deliveries: list[Delivery]) -> Job:
    """The image that these stages run. It starts containers, so that it is in none itself."""
    built = [run("Build", "\n".join(common.BUILD)), upload(common.IMAGE_JOB, common.IMAGES, when="success()")]
    return base(common.runner(deliveries), container=False) | {"if": UNLESS_ROLLBACK, "steps": steps(*built)}


def base(labels: list[str] | None = None, *, container: bool = True) -> Job:
    own = {"container": common.IMAGE} if container else {}
    return {"runs-on": labels or RUNNER, **own, "timeout-minutes": 60}


def of_stage(one: Delivery) -> dict[str, Job]:
    """The jobs of one stage by their names."""
    deploy, built = f"deploy-{one.stage}", [common.IMAGE_JOB] if one.image else []
    fetch = [{"uses": DOWNLOAD, "with": {"name": common.IMAGE_JOB, "path": common.IMAGES}}] if one.image else []
    branch, by_hand = f"github.ref == 'refs/heads/{one.branch}'", f"inputs.stage == '{one.stage}' && inputs.action == "
    asked = f"{by_hand}'deploy'"
    jobs: dict[str, Job] = {}
    jobs[f"check-{one.stage}"] = acting(one, {"name": common.reader(one)}) | {
        "needs": ["lint", *built],
        "if": f"github.event_name == 'pull_request' && github.base_ref == '{one.branch}' && {OUR_OWN}",
        "continue-on-error": True,  # it informs, and guards nothing
        "permissions": TOKEN | {"pull-requests": "write"},  # for the comment
        "steps": steps(
            *fetch,
            run("Plan", common.check(one)) | {"env": {"GITHUB_TOKEN": "${{ github.token }}"}},
            upload(f"check-{one.stage}", common.logs(one), common.plan(one)),
        ),
    }
    jobs[deploy] = serial(one) | {
        "needs": ["lint", "test", *built],
        "if": f"{branch} && (github.event_name == 'push' || {asked})" if one.automatic else f"{branch} && {asked}",
        "steps": steps(*fetch, run("Deploy", "\n".join(common.deploy(one))), *proof(one, deploy)),
    }
    if one.rollback:
        rollback = f"rollback-{one.stage}"
        jobs[rollback] = serial(one) | {
            "if": f"{branch} && {by_hand}'rollback'",
            "steps": steps(run("Roll back", common.make("rollback", one)), *proof(one, rollback)),
        }
    return jobs


def acting(one: Delivery, environment: Job) -> Job:
    """What jobs have that talk to a stage: its environment, and a token of their own."""
    return base(common.runner([one])) | {
        "environment": environment, "permissions": TOKEN, "env": ACCOUNT,
    }  # fmt: skip


def serial(one: Delivery) -> Job:
    """One at a time, never cut off."""
    return acting(one, common.environment(one)) | {
        "concurrency": {"group": f"stage-{one.stage}", "cancel-in-progress": False}
    }


def proof(one: Delivery, name: str) -> list[Job]:
    return [run("Verify", common.make("verify", one)), upload(name, common.logs(one), common.report(one))]
