"""What a stage declares, with its templates filled in: as a playbook hands it to the engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from stagecraft.stages import ROOT, Refused, Stage

ERROR = re.compile(
    r"^\[ERROR\]: (?:.*(?:Error while resolving value for 'content'|Finalization of task args[^:]*): )?(.*)$", re.M
)
ORIGIN = re.compile(r"^Origin: (\S+:\d+:\d+)$", re.M)
RESOURCES = "stage_resources"  # the variable that playbooks give to yc_stack
UNMADE = {"ssh_public_key": "ssh-ed25519 placeholder"}  # what only building a stage makes


def resources(stage: Stage, variables: dict[str, str], overlay: Path | None = None) -> dict[str, Any]:
    """The stage's declarations by kind, under these environment variables; nothing is asked of a cloud.

    `overlay` is a file of variables that replace the inventory's. Raises Refused with Ansible's words.
    """
    with tempfile.TemporaryDirectory(prefix="stagecraft-") as scratch:
        file = Path(scratch) / "resources.json"
        wanted = {"content": f"{{{{ {RESOURCES} | to_json }}}}", "dest": str(file), "mode": "0600"}
        command = [sys.executable, "-m", "ansible", "adhoc", "-i", str(stage.inventory / "controller.yml"), "localhost"]
        command += ["-m", "ansible.builtin.copy", "-a", json.dumps(wanted)]
        command += ["-e", f"@{overlay}"] if overlay else []
        command += ["-e", json.dumps(UNMADE)]
        known = {"STAGE": stage.name, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **variables}
        done = subprocess.run(command, cwd=ROOT, env=os.environ | known, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"the declarations of {stage.name} cannot be read: {told(done.stderr + done.stdout)}", 2)
        declared: dict[str, Any] = json.loads(file.read_text())
        return declared


def told(output: str) -> str:
    """Ansible's error in one line, with the places in this checkout that it names; all of the output where it has none."""
    if not (found := ERROR.search(output)):
        return output.strip()
    places = dict.fromkeys(place for place in ORIGIN.findall(output) if place.startswith(f"{ROOT}/"))
    named = ", ".join(place.removeprefix(f"{ROOT}/") for place in places)
    return f"{found[1].strip()}{f' ({named})' if named else ''}"
