"""A stage's declarations with their templates filled in, by Ansible itself."""

from __future__ import annotations

import shutil

import pytest

from stagecraft import rendered, stages
from stagecraft.stages import Refused, Stage

REPOSITORY = stages.ROOT
RESOURCES = (
    "stage_resources: {vpc_network: '{{ networks }}', vpc_subnet: [{name: '{{ lookup(\"env\", \"WHERE\") }}'}]}\n"
)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A stage whose variables are a text; returns how to write them."""
    for module in (stages, rendered):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    shutil.copy(REPOSITORY / "ansible.cfg", tmp_path)
    variables = tmp_path / "inventories/demo/group_vars/all/stage.yml"
    variables.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "inventories/shared/controller.yml", tmp_path / "inventories/demo/controller.yml")
    return lambda text: variables.write_text(RESOURCES + text)


def test_templates_are_filled_in_and_an_overlay_wins(demo, tmp_path):
    demo("networks: {'a': {}}\n")
    overlay = tmp_path / "overlay.yml"
    overlay.write_text("networks: {b: {}}\n")
    read = rendered.resources(Stage("demo"), {"WHERE": "here"})
    assert read == {"vpc_network": {"a": {}}, "vpc_subnet": [{"name": "here"}]}
    assert rendered.resources(Stage("demo"), {}, overlay)["vpc_network"] == {"b": {}}


def test_what_ansible_cannot_read_is_one_line_with_its_place(demo):
    demo('networks: "{{ [1] | nothing_such }}"\n')
    with pytest.raises(Refused) as refused:
        rendered.resources(Stage("demo"), {})
    said = str(refused.value)
    assert said.startswith("the declarations of demo cannot be read: ") and "\n" not in said
    assert "nothing_such" in said and "inventories/demo/group_vars/all/stage.yml:2:11" in said, said
