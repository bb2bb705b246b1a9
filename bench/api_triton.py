"""A Triton on this machine: the wheel and the backend that the role `triton` installs, with one version of the digits."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from bench import ROOT, trained
from bench.ansible_runs import ansible
from bench.api_python import environment
from bench.trained import MODEL, VERSION

from process import free_port, until  # isort: skip

ROLE = ROOT / "roles" / "triton"
LOCKS = (ROLE / "files" / "requirements-server.lock", ROLE / "files" / "requirements-backend.lock")
BACKENDS = ROLE / "templates" / "tree" / "opt" / "triton" / "{__triton_build}"


@dataclass(frozen=True)
class Triton:
    """Where it listens."""

    grpc: str
    http: str


@contextlib.contextmanager
def triton(folder: Path, say: Callable[[str], None]) -> Iterator[Triton]:
    """Serve from the folder until the block ends."""
    home = environment("triton", LOCKS, say, also=BACKENDS)
    server = home / "lib/python3.11/site-packages/pytriton/tritonserver"
    grpc, http = free_port(), free_port()
    command = [
        *(server / "bin/tritonserver", f"--backend-directory={server / 'backends'}"),
        *(f"--model-repository={repository(folder)}", "--model-control-mode=explicit", "--load-model=*"),
        *("--grpc-address=127.0.0.1", f"--grpc-port={grpc}", "--http-address=127.0.0.1", f"--http-port={http}"),
        *("--allow-metrics=false", "--exit-timeout-secs=5"),
    ]
    path = f"{home / 'bin'}:/usr/bin:/bin"  # the backend's Python is the one found first
    log = folder / "triton.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={"PATH": path}, stdout=out, stderr=subprocess.STDOUT)
    running = Triton(f"127.0.0.1:{grpc}", f"http://127.0.0.1:{http}")
    try:
        until(lambda: answers(process, log, f"{running.http}/v2/models/{MODEL}/ready"), 60)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def answers(process: subprocess.Popen[bytes], log: Path, address: str) -> bool:
    """Whether the address answers 200; RuntimeError with the end of the log once the process has ended."""
    if process.poll() is not None:
        raise RuntimeError(f"{process.args[0]} ended: {log.read_text(errors='replace')[-3000:]}")
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


def repository(folder: Path) -> Path:
    """A model repository with the trained model and the configuration that the role would write for it."""
    made = folder / "repository" / MODEL
    shutil.copytree(trained.digits().model.parent, made / VERSION)
    declared = yaml.safe_load((ROOT / "inventories/partners/group_vars/all/models.yml").read_text())["models"][MODEL]
    variables = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    variables |= {"triton_source": "wheel", "item": {"key": MODEL, "value": declared}}
    template = ROLE / "templates/tree/etc/model-sync/models/{key}.pbtxt.j2"
    write = {"src": str(template), "dest": str(made / "config.pbtxt"), "mode": "0644"}
    ansible(
        *("ansible", "localhost", "-i", "localhost,", "-c", "local", "-e", json.dumps(variables)),
        *("-m", "ansible.builtin.template", "-a", json.dumps(write)),
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "STAGE": "partners"},
    )
    return made.parent
