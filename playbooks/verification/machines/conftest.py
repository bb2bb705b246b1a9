"""How the checks of a stage with machines talk to it: as a client outside, and from its machines."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import testinfra

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared import Facts, heldout, pytest_runtest_setup

__all__ = ["heldout", "pytest_runtest_setup"]  # pytest finds them here

API_PYTHON = "/opt/inference-api/*/bin/python3"  # the API's own; one build at a time is installed


class Stage(Facts):
    def machines(self, role: str = "") -> list[str]:
        """Names of the machines, of one role where it is given."""
        return [name for name, machine in self.facts["machines"].items() if role in ("", machine["role"])]

    def host(self, name: str):
        """A machine through Testinfra, over the stage's own SSH configuration, as root."""
        return testinfra.get_host(f"ssh://{name}", ssh_config=self.facts["ssh_config"], sudo=True)

    def ask(self, name: str, script: str, given: object = None, python: str = "python3"):
        """Run a Python script on a machine as root; it gets `given` and prints JSON."""
        return answer(["ssh", "-F", self.facts["ssh_config"], name, "sudo", python, "-"], script, given)


def answer(command: list[str], script: str, given: object):
    """What the script prints. Script and data travel on standard input, so that nothing secret is on a command line."""
    program = f"import json\ngiven = json.loads({json.dumps(json.dumps(given))})\n{script}"
    done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()[-600:]}"
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def stage() -> Stage:
    return Stage.read()


@pytest.fixture(scope="session", autouse=True)
def begun(request, stage) -> Iterator[dict[str, Future]]:
    """What mostly waits: begun with the first check, so that all of it waits at the same time. A module names it in EARLY,
    functions of the stage by name."""
    works = {name: work for item in request.session.items for name, work in getattr(item.module, "EARLY", {}).items()}
    with ThreadPoolExecutor(max(len(works), 1)) as threads:
        yield {name: threads.submit(work, stage) for name, work in works.items()}


def outside(stage: Stage) -> httpx.Client:
    """A client that stands outside, trusts the stage's CA only, and calls the edge by its public name. For one thread:
    over HTTP/2 httpx mixes up the frames of several."""
    (name,) = stage.machines("edge")
    address = stage.facts["machines"][name]["public"]
    context = ssl.create_default_context(cafile=stage.facts["ca"])
    hostname = stage.facts["public_hostname"]

    class Transport(httpx.HTTPTransport):
        """Connects to the edge's address, whatever the name resolves to, and checks the certificate of the name."""

        def handle_request(self, request):
            request.extensions = {**request.extensions, "sni_hostname": hostname}
            request.url = request.url.copy_with(host=address)
            return super().handle_request(request)

    return httpx.Client(base_url=f"https://{hostname}", transport=Transport(verify=context, http2=True), timeout=15)


@pytest.fixture(scope="session")
def edge(stage):
    """The client that most checks share."""
    with outside(stage) as client:
        yield client


@pytest.fixture(scope="session")
def key(stage) -> dict[str, str]:
    return key_of(stage)


def key_of(stage: Stage) -> dict[str, str]:
    """Headers that carry a good API key."""
    return {"Authorization": f"Bearer {stage.secret('api-key-verify', 'api_key')}"}
