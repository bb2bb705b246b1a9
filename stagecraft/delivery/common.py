"""What the pipelines of GitLab and GitHub have in common: versions, commands, folders."""

from __future__ import annotations

from stagecraft.delivery.declared import Delivery

# What jobs run in: Debian 12 with Python, make and git.
IMAGE = "docker.io/library/python:3.12-bookworm"
# Caches of package downloads; what jobs hand on and keep; the logs and the checks' report of a stage.
DOWNLOADS = [".cache/uv", ".cache/pip"]
STATE, CACHE = "build/state", "build/cache"
LOCK = "requirements.lock"
FOLDERS = {
    "STAGECRAFT_STATE": STATE,
    "STAGECRAFT_CACHE": CACHE,
    "UV_CACHE_DIR": DOWNLOADS[0],
    "PIP_CACHE_DIR": DOWNLOADS[1],
}
MODELS = f"{CACHE}/models/"  # with what the checks compare predictions with
IMAGE_JOB, IMAGES = "build-image", "build/image/"  # `image` alone would be a keyword of GitLab
BUILD = ["make system", "make image"]  # with Debian's podman; into IMAGES, without credentials
SETUP = "make setup"
LINT = "make lint"
TEST = "make test-fast ARGS='--only tests'"


def logs(one: Delivery) -> str:
    return f"{STATE}/{one.stage}/logs/"


def report(one: Delivery) -> str:
    return f"{STATE}/{one.stage}/verify.xml"


def plan(one: Delivery) -> str:
    return f"{STATE}/{one.stage}/plan.md"


def make(target: str, one: Delivery, arguments: str = "") -> str:
    """A command of the Makefile for a stage."""
    return f"make {target} STAGE={one.stage}" + (f" ARGS='{arguments}'" if arguments else "")


def check(one: Delivery) -> str:
    """What would change, as a file and as a comment on the request to merge; the differences are in the log."""
    return make("plan", one, " ".join([f"--comment {plan(one)}", *built(one)]))


def deploy(one: Delivery) -> list[str]:
    """Apply the stage; where it runs the image, with Debian's skopeo, which puts it into the registry."""
    return [*(["make system"] if one.image else []), make("apply", one, " ".join(built(one)))]


def built(one: Delivery) -> list[str]:
    """The image is what the job before has handed on."""
    return ["-e image_built=true"] if one.image else []


def environment(one: Delivery) -> dict[str, str]:
    """The environment of a stage's deployments: its name, and its address where one is declared."""
    return {"name": one.stage} | ({"url": one.url} if one.url else {})


def reader(one: Delivery) -> str:
    """The environment of what only looks at a stage, with the credentials of an account that may only read."""
    return f"{one.stage}-check"


def runner(deliveries: list[Delivery]) -> list[str]:
    """The labels of a runner that may take the jobs of all these stages; none where any may."""
    return sorted({label for one in deliveries for label in one.runner})
