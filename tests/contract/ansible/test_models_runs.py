"""Publishing a stage's models: what is declared and was never built is refused before anything serves it."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_runs import ROOT, command
from storage import BUCKET, KEY, SECRET, seaweed


@pytest.fixture
def publish(variables, tmp_path):
    """Publish to a real bucket what is built, where these versions are declared; exit code, output, and what is there."""
    folder = tmp_path / "storage"
    folder.mkdir()
    with seaweed(folder) as storage:

        def run(*versions: str) -> tuple[int, str, list[str]]:
            given = {
                "models": {"digits": {"versions": versions}},
                "models_folder": str(tmp_path / "models"),
                "checkout": str(ROOT),
                "bucket": BUCKET,
                "storage_endpoint": storage.endpoint,
                "storage_region": "ru-central1",
                "secrets_to_come": [],
                "stage_secrets": {"release-storage-key": {"key_id": KEY, "secret": SECRET}},
            }
            told = tmp_path / "given.json"
            told.write_text(json.dumps(given))
            book = ROOT / "playbooks" / "components" / "models.yml"
            done = subprocess.run(
                [command("ansible-playbook"), "-i", "localhost,", str(book), "-e", f"@{told}"],
                cwd=ROOT, env=variables | {"AWS_CA_BUNDLE": str(storage.ca)}, capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            return done.returncode, " ".join((done.stdout + done.stderr).split()), storage.keys("models/")

        yield run


def test_a_declared_version_that_was_never_built_is_named(publish):
    code, said, there = publish("1", "2")
    assert code == 0 and {"models/digits/1/model.onnx", "models/digits/2/model.onnx"} <= set(there), said
    code, said, _ = publish("1", "9")
    assert code and "Of the model digits no version 9 was built: there are 1, 2." in said, said
