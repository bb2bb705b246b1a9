"""A checkout of stages that are only declared as far as their delivery is concerned."""

from __future__ import annotations

import shutil

import pytest

from stagecraft import declarations, stages

REPOSITORY = stages.ROOT


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Stages by name, each with the text of its delivery.yml; returns the root."""

    def make(**declared: str):
        for name, text in declared.items():
            folder = tmp_path / "inventories" / name / "group_vars" / "all"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "stage.yml").write_text(f"stage: {name}\n")
            (folder / "delivery.yml").write_text(text)
        makefile = (REPOSITORY / "Makefile").read_text()
        (tmp_path / "Makefile").write_text(makefile if "\nimage:" in makefile else f"{makefile}\nimage:\n")
        (tmp_path / "playbooks").mkdir(exist_ok=True)
        (tmp_path / "playbooks" / "rollback.yml").touch()
        return tmp_path

    for module in (stages, declarations):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    shutil.rmtree(tmp_path / "inventories", ignore_errors=True)
    return make
