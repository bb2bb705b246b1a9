"""A module of Ansible on the container of a role test, as a task would call it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parents[2] / "molecule" / "shared" / "inventory.yml"


def ask(host: Any, scenario: str, module: str, *flags: str, **options: Any) -> dict[str, Any]:
    """What the module returns on this host of a scenario; flags are of the command `ansible`."""
    inventories = (SHARED, Path(os.environ["STAGECRAFT_MOLECULE_STATE"]) / f"{scenario}.json")
    ansible = Path(os.environ["STAGECRAFT_MOLECULE_ANSIBLE"]).with_name("ansible")
    done = subprocess.run(
        [
            ansible, host.backend.name, *flags, *(f"--inventory={file}" for file in inventories),
            f"--module-name={module}", f"--args={json.dumps(options)}",
        ],
        capture_output=True, text=True, check=False, env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
    return told
