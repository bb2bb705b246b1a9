"""A small stage in a checkout of its own, an emulated cloud, and the command that accepts the one in the other."""

from __future__ import annotations

import os
import subprocess
import sys

import gitlab_ci
import pytest
import small_stage

from rehearsal.cloud import admin, server

RESOURCES = """
stage_resources: {vpc_network: {small: {}}}
buckets: []
folder_keep: []
"""
OTHERS = ("YC_", "ANSIBLE_", "STAGECRAFT_", "CI_")  # of whoever runs the tests


@pytest.fixture(scope="module")
def granted(tmp_path_factory):
    """A cloud in which the account may do everything, as its owner has told."""
    emulator = server.start(tmp_path_factory.mktemp("cloud"), delay=0.02)
    admin.ask(emulator.folder, "roles.grant", role="admin")
    yield emulator
    emulator.faults.clear()
    emulator.stop()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this checkout with one small stage, as a commit."""
    root = gitlab_ci.copied(tmp_path_factory.mktemp("accept") / "checkout")
    small_stage.lay(root, small="{deploy: manual}")
    (root / "inventories" / "small" / "group_vars" / "all" / "resources.yml").write_text(RESOURCES)
    digest = root / "build" / "image" / "digest"
    digest.parent.mkdir(parents=True)
    digest.write_text("sha256-of-it")
    gitlab_ci.commit(root)
    return root


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    file = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


@pytest.fixture
def accept(checkout, granted, key, tmp_path):
    """Start the command; `accept.report` is the file that it writes."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    own |= granted.env | {"STAGECRAFT_STATE": str(tmp_path / "state"), "YC_METADATA_ADDR": "127.0.0.1:9"}
    report = tmp_path / "report.md"

    def run(*options: str) -> subprocess.Popen:
        words = ["accept", "small", "--confirm", "small", "--key", str(key), "--to", str(report), *options]
        return subprocess.Popen(
            [sys.executable, "-m", "stagecraft", *words],
            cwd=checkout, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    run.report = report
    return run
