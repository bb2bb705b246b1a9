"""The service as its image, run as a platform of containers runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from rehearsal.world import shell

from process import Api

PYTHON = "/usr/bin/python3.11"
LOCKED_DOWN = ("--rm", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")


class Container(Api):
    """The image with settings as a platform gives them: variables, PORT among them; no files."""

    def __init__(self, image: str, environment: dict[str, str], log: Path, network: str = "host") -> None:
        super().__init__(environment, log)
        self.environment["CONTAINERS_CONF"] = str(shell.CONTAINERS_CONF)
        self.environment["PORT"] = self.environment.pop("INFERENCE_API_PORT")
        self.image, self.network = image, network
        self.name = f"inference-api-test-{self.port}"

    def argv(self, variables: dict[str, str]) -> list[str]:
        """See Api. Values stay off the command line."""
        names = [name for name in variables if name.startswith("INFERENCE_API_") or name == "PORT"]
        options = [
            *LOCKED_DOWN,
            f"--name={self.name}",
            f"--network={self.network}",
            *(f"--env={name}" for name in names),
        ]
        return ["podman", "run", *options, self.image]

    def answers(self, path: str) -> bool:
        """See Api. Without a network only the container itself can ask."""
        if self.network != "none":
            return super().answers(path)
        ask = (
            f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{self.environment['PORT']}{path}').status)"
        )
        try:
            return self.inside(ask).strip() == "200"
        except shell.CommandError:
            return False

    def inside(self, code: str) -> str:
        """What Python code prints in the running container."""
        return shell.podman("exec", self.name, PYTHON, "-I", "-c", code)

    def kill(self) -> None:
        """See Api."""
        super().kill()
        shell.podman("rm", "--force", "--ignore", self.name)


def variables(environment: dict[str, str], **settings: Any) -> dict[str, str]:
    """The settings of a service on this machine as they are given to a container: what is in files is in variables."""
    given = dict(environment)
    for name in ("ENGINE", "STORE", "STATE_DIRECTORY"):  # the image says these
        del given[f"INFERENCE_API_{name}"]
    for file, value in (("STORAGE_SECRET_KEY_FILE", "STORAGE_SECRET_KEY"), ("STORAGE_CA_FILE", "STORAGE_CA")):
        given[f"INFERENCE_API_{value}"] = Path(given.pop(f"INFERENCE_API_{file}")).read_text().strip()
    return given | {f"INFERENCE_API_{name.upper()}": str(value) for name, value in settings.items()}


def python(image: str, code: str) -> str:
    """What Python code prints in a container of its own, without a network."""
    return shell.podman("run", *LOCKED_DOWN, "--network=none", f"--entrypoint={PYTHON}", image, "-I", "-c", code)


def files(image: str) -> list[str]:
    """Mode and name of everything in the image, one `ls`-like line each, as tar shows them."""
    made = shell.podman("create", "--network=none", image).strip()
    try:
        with subprocess.Popen(["podman", "export", made], stdout=subprocess.PIPE) as exported:
            listed = subprocess.run(
                ["tar", "--list", "--verbose", "--numeric-owner"],
                stdin=exported.stdout,
                capture_output=True,
                check=True,
            )
        return listed.stdout.decode().splitlines()
    finally:
        shell.podman("rm", made)
