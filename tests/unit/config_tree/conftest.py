"""A host in a folder: the module runs for real, on the Python that hosts have, against a temporary root."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible
import pytest

ROOT = Path(__file__).parents[3]
MODULE = ROOT / "collections/ansible_collections/stagecraft/platform/plugins/modules/config_tree.py"
HOSTS_PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


@dataclass
class Host:
    """A temporary root and the manifests beside it."""

    folder: Path
    items: list[dict[str, Any]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def file(self, name: str, content: str | bytes = "", **more: Any) -> dict[str, Any]:
        """An item of the payload, owned by whoever runs the tests."""
        data = content.encode() if isinstance(content, str) else content
        return self.item("file", name, content=base64.b64encode(data).decode(), **more)

    def item(self, kind: str, name: str, **more: Any) -> dict[str, Any]:
        owner = {"owner": str(os.getuid()), "group": str(os.getgid())}
        return {"kind": kind, "path": str(self.path(name)), "mode": 0o644, **owner, **more}

    def apply(self, *items: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Run the module over these items; its answer."""
        wrap = options.pop("wrap", [])
        arguments = {
            "name": options.pop("name", "demo"),
            "root": str(options.pop("root", self.root)),
            "manifests": str(self.folder / "manifests"),
            "dir_mode": options.pop("dir_mode", 0o755),
            "validate": [
                {"command": command} if isinstance(command, str) else command for command in options.pop("validate", [])
            ],
            "payload": base64.b64encode(zlib.compress(json.dumps(items).encode())).decode(),
            "_ansible_check_mode": options.pop("check", False),
            "_ansible_diff": options.pop("diff", True),
            "_ansible_remote_tmp": str(self.folder),
        }
        assert not options, options
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'collections'}:{Path(ansible.__file__).parents[1]}"}
        done = subprocess.run(
            [*wrap, HOSTS_PYTHON, str(MODULE)],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def content(self) -> dict[str, str]:
        """Everything below the root: files by content, links by target, folders by slash."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            else:
                found[name] = "/" if path.is_dir() else path.read_text()
        return found


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.root.mkdir()
    return made
