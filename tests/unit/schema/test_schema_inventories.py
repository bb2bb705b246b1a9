"""Inventories against the schema: a mistake is said with its file and line."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stagecraft.platform.plugins.module_utils import values

from stagecraft import declarations, stages
from stagecraft.schema import files, inventories, options, variables
from stagecraft.stages import Refused, Stage

FOLDER = stages.ROOT / inventories.FOLDER
SCHEMA = json.loads((FOLDER / inventories.VARIABLES).read_text())


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """What is said against a file with a text, from its line on."""
    for module in (stages, declarations):
        monkeypatch.setattr(module, "ROOT", tmp_path)

    def check(text: str) -> list[str]:
        file = tmp_path / "wrong.yml"
        file.write_text(text)
        return [line.removeprefix("wrong.yml:") for line in inventories.mistakes(file, SCHEMA)]

    return check


def test_a_stale_file_is_refused_and_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    file = tmp_path / inventories.FOLDER / "variables.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}\n")
    with pytest.raises(Refused, match="inventories/shared/schema/variables.json is not what .* Run make schema"):
        files.stale({"variables.json": {"type": "object"}}, check_only=True)
    assert file.read_text() == "{}\n"
    assert files.stale({"variables.json": {"type": "object"}}, check_only=False)
    assert files.stale({"variables.json": {"type": "object"}}, check_only=True) == []


@pytest.mark.parametrize(("text", "line"), [
    ("networks:\n  main: {}\n  other: {descripton: x}\n", "3:11: networks.other has no option descripton. Did you mean d"),
    ("a: 1\nsubnets:\n  a:\n    network: main\n    zone: z\n    cidr: [10.0.0.0/33]\n", "6:12: subnets.a.cidr.0 is '10."),
    ("subnets:\n  a: {network: main, zone: z}\n", "2:6: subnets.a: cidr is missing."),
    ("folder_bindings:\n  one: {service_account: a, role: b}\n", "2:3: folder_bindings is {'one': {"),
    ("machines:\n  api: {zones: [a], subnet: s, cores: 2, disk_size: 9GB}\n", "2:8: machines.api: memory is missing."),
    ("machines:\n  api: {zones: []}\n", "2:16: machines.api.zones is []; it has to be a list of at least one zone."),
    ("machines:\n  api:\n    counts: 2\n", "3:5: machines.api has no option counts. Did you mean count?"),
    ("stage_keys:\n  a: {kind: rsa}\n", "2:13: stage_keys.a.kind is 'rsa'; it has to be one of certificate, api_key, ca,"),
    ("stage_keys:\n  a: {kind: certificate, ca: b}\n", "2:6: stage_keys.a: names is missing."),
    ("stage_kind: clusters\n", "1:13: stage_kind is 'clusters'; it has to be one of containers, machines."),
    ("delivery: {deploy: '{{ how }}'}\n", "1:20: delivery.deploy is '{{ how }}'; it has to be automatic ("),
    ("prometheus_jobs: [{name: a, target: []}]\n", "1:29: prometheus_jobs.0 has no option target. Did you mean targets?"),
    ("base_ssh_bans: sometimes\n", "1:16: base_ssh_bans is 'sometimes'; it has to be true or false."),
])  # fmt: skip
def test_a_mistake_is_said_with_its_line_and_what_is_allowed(lines, text, line):
    said = lines(text)
    assert any(one.startswith(line) for one in said), said


def test_all_mistakes_are_said_at_once_and_what_only_ansible_reads_is_none(lines):
    assert len(lines("networks: 1\nstage_kind: 2\nbase_ssh_bans: {}\n")) == 3
    assert lines("networks: !unsafe '{{ x'\npostgresql_users: !vault |\n  $ANSIBLE_VAULT;1.1\n") == []
    assert lines("somebodys_own: {of: any, kind: [1]}\nbuckets: '{{ own }}'\n") == []
    assert lines("# nothing\n") == []


def test_a_file_names_its_schema_in_the_first_line(tmp_path, monkeypatch):
    file = stages.ROOT / "inventories/mvp/group_vars/all/stage.yml"
    assert inventories.unnamed(file, inventories.VARIABLES) == ""
    assert inventories.unnamed(file, inventories.MACHINES).startswith("inventories/mvp/group_vars/all/stage.yml:1: ")
    moved = tmp_path / "inventories/mvp/stage.yml"
    moved.parent.mkdir(parents=True)
    moved.write_text(file.read_text())
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    assert "$schema=../shared/schema/variables.json`" in inventories.unnamed(moved, inventories.VARIABLES)
    monkeypatch.setattr(inventories, "files", lambda: {moved: inventories.VARIABLES})
    assert files.name_schemas() == [moved.relative_to(tmp_path)] and files.name_schemas() == []
    assert moved.read_text().splitlines()[1:] == file.read_text().splitlines()[1:]


def test_a_template_that_cannot_be_read_is_said(monkeypatch):
    monkeypatch.setattr(variables, "group_vars", lambda stage: {"stage_resources": "{{ networks | combine( }}"})
    with pytest.raises(Refused, match="inventories/demo: a template cannot be read: .*networks | combine"):
        variables.traced(Stage("demo"), set())


def test_every_form_that_the_engine_knows_has_a_pattern():
    assert options.FORMS.keys() == values.FORMS.keys()


def test_what_a_variable_holds_is_traced_from_what_the_engine_is_given():
    declared = {
        "stage_resources": "{{ base | combine({'vpc_address': more, 'dns_zone': a + b if c else []}) }}",
        "base": {"vpc_network": "{{ networks }}", "lockbox_secret": "{{ s | stagecraft.platform.rotated(r) }}",
                 "compute_instance": "{{ m | stagecraft.platform.instances(image='i', user_data='') }}",
                 "vpc_subnet": "{{ x | other }}"},
        "kept_keys": "{{ own_keys | combine(certificates) }}", "own_keys": {}, "certificates": "{{ made | of(it) }}",
        "networks": "{{ n }}", "n": {}, "s": {}, "m": {}, "x": {}, "more": {}, "a": [], "b": [], "c": True,
    }  # fmt: skip
    kinds = {"vpc_network", "lockbox_secret", "compute_instance", "vpc_subnet", "vpc_address", "dns_zone"}
    assert dict(variables.holders(declared, kinds)) == {
        "stage_resources": "resources", "base": "resources", "networks": "vpc_network", "n": "vpc_network",
        "s": "lockbox_secret", "m": "machines", "more": "vpc_address", "a": "dns_zone", "b": "dns_zone",
        "kept_keys": "keys", "own_keys": "keys", "certificates": "keys",
    }  # fmt: skip
