#!/usr/bin/python
# Copyright: Stagecraft contributors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A program's virtual environment in a folder of its own, named after what it is made from (the host's half)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_environment
short_description: A Python program's environment, a new folder for each build
version_added: "0.1.0"
author: [Stagecraft contributors (@stagecraft)]
description:
  - Makes a virtual environment with the packages of a lock, and a wheel where one is given, in a folder below O(path)
    that is named after them and the version of Python. What is there is never changed, so that a running program keeps
    its own until it is restarted. One question to a host that has the build.
  - A build that was interrupted is made again. Earlier builds stay; RV(others) names them, to be removed when nothing
    runs from them any more.
options:
  path:
    description: The folder of the builds.
    type: path
    required: true
  python:
    description: The Python that the environment is for, on the host.
    type: path
    default: /usr/bin/python3
  requirements:
    description: A lock as C(pip) reads it, every package with its hashes. What it does not name is not installed.
    type: str
    required: true
  wheel:
    description: A file on the controller, to be installed from itself alone.
    type: path
  checksum:
    description: Of lock and wheel. Set by the controller's half of the module, and not to be given.
    type: str
    required: true
attributes:
  check_mode: {description: Says whether the build would be made, and where., support: full}
  diff_mode: {description: Names the build., support: full}
"""

EXAMPLES = r"""
- name: Install the program
  stagecraft.platform.python_environment:
    path: /opt/inference-api
    requirements: "{{ lookup('ansible.builtin.file', 'requirements.lock') }}"
    wheel: "{{ inference_api_wheel }}"
  register: __inference_api_environment
"""

RETURN = r"""
path:
  description: The folder of this build.
  returned: success
  type: str
  sample: /opt/inference-api/1c5f0e9a7b3d
others:
  description: Folders of other builds.
  returned: success
  type: list
  elements: str
"""

import hashlib
import os
import shutil

from ansible.module_utils.basic import AnsibleModule

MARK = "requirements.lock"  # lies in a build that is whole
NAME = 12  # hexadecimal digits


def run(module: AnsibleModule, *command: str, data: str | None = None) -> str:
    """What the command prints. Ends the module with its last lines where it fails."""
    code, out, error = module.run_command(list(command), data=data, binary_data=True)
    if code:
        module.fail_json(
            msg=f"{' '.join(command[:4])} ...: {' | '.join((error or out).strip().splitlines()[-5:])}", rc=code
        )
    return out


def make(module: AnsibleModule, home: str) -> None:
    """Make the build from nothing; the mark comes last."""
    shutil.rmtree(home, ignore_errors=True)
    run(module, module.params["python"], "-m", "venv", home)
    install = (f"{home}/bin/pip", "install", "--no-deps", "--disable-pip-version-check")
    locked = (*install, "--require-hashes", "--only-binary=:all:", "--requirement=/dev/stdin")
    run(module, *locked, data=module.params["requirements"])
    if module.params["wheel"]:
        run(module, *install, "--no-index", module.params["wheel"])
    with open(f"{home}/{MARK}.new", "w") as file:
        file.write(module.params["requirements"])
    os.replace(f"{home}/{MARK}.new", f"{home}/{MARK}")


def main() -> None:
    """Say where the build is and whether it is missing; make it where the controller has sent what it is made from."""
    module = AnsibleModule(
        {
            "path": {"type": "path", "required": True},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "requirements": {"type": "str", "required": True},
            "wheel": {"type": "path"},
            "checksum": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    builds, python = module.params["path"], module.params["python"]
    if not os.access(python, os.X_OK):
        module.fail_json(msg=f"python: there is no {python} on this host: install its package first")
    version = run(module, python, "-c", "import sys; print(*sys.version_info[:2])").strip()
    name = hashlib.sha256(f"{module.params['checksum']} {version}".encode()).hexdigest()[:NAME]
    home = os.path.join(builds, name)
    folders = sorted(entry.path for entry in os.scandir(builds) if entry.is_dir()) if os.path.isdir(builds) else []
    missing = not os.path.exists(os.path.join(home, MARK))
    if missing and module.params["requirements"] and not module.check_mode:
        os.makedirs(builds, mode=0o755, exist_ok=True)
        make(module, home)
    module.exit_json(changed=missing, path=home, others=[folder for folder in folders if folder != home])


if __name__ == "__main__":
    main()
