"""What is wrong in an inventory is said with its place, before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stagecraft import declarations, sources, stages
from stagecraft.stages import Refused, Stage

PARTNERS = Stage("partners")
NETWORK = "inventories/partners/group_vars/all/network.yml"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the checkout's inventories, roles and playbooks, to be broken."""
    for folder in ("inventories", "roles", "playbooks"):
        shutil.copytree(stages.ROOT / folder, tmp_path / folder, symlinks=True)
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    monkeypatch.setattr(declarations, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    return tmp_path


def append(file: Path, text: str) -> int:
    """Add lines; the number of the first."""
    old = file.read_text()
    file.write_text(old + text)
    return len(old.splitlines()) + 1


def test_what_is_committed_is_accepted():
    for name in stages.names():
        declarations.check(Stage(name))


def test_a_syntax_error_has_file_line_and_column(checkout):
    line = append(checkout / NETWORK, "broken: [1, 2\nnext: 3\n")
    with pytest.raises(Refused, match=f"^{NETWORK}:{line + 1}:.*this is no YAML: .*expected") as refused:
        declarations.check(PARTNERS)
    assert refused.value.code == 2 and "\x1b" not in str(refused.value)


def test_a_doubled_key_names_both_places(checkout):
    line = append(checkout / NETWORK, "one_thing:\n  size: 1\n  other: 2\n  size: 3\n")
    with pytest.raises(
        Refused, match=f"^{NETWORK}:{line + 3}:3: size is here a second time; the first is at {line + 1}:3"
    ):
        declarations.check(PARTNERS)


def test_a_misspelled_variable_gets_the_nearest_name(checkout):
    file = checkout / NETWORK
    assert "\nsecurity_groups:" in file.read_text()
    file.write_text(file.read_text().replace("\nsecurity_groups:", "\nsecuirty_groups:"))
    with pytest.raises(
        Refused, match=f"^{NETWORK}:[0-9]+:1: nothing reads secuirty_groups. Did you mean security_groups?"
    ):
        declarations.check(PARTNERS)


def test_a_name_of_somebodys_own_is_left_alone(checkout):
    append(checkout / NETWORK, "zz_our_cost_centre: 12\n")
    declarations.check(PARTNERS)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("yc_compute\n", "yc_computer\n", "its first line has to be `plugin: stagecraft.platform.yc_compute`"),
        ("filters:", "filtres:", "has no option filtres. Did you mean filters?"),
        ("stagecraft-stage: partners", "stagecraft-stage: demo", "is 'demo', so it shows no machine of partners"),
    ],
)
def test_an_inventory_that_would_show_no_machine_is_refused(checkout, old, new, says):
    file = checkout / "inventories/partners/yc_compute.yml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(Refused, match=says) as refused:
        declarations.check(PARTNERS)
    assert str(refused.value).startswith("inventories/partners/yc_compute.yml: ")


@pytest.mark.parametrize("name", ["controller.yml", "yc_compute.yml"])
def test_an_inventory_that_lacks_a_file_is_refused(checkout, name):
    (checkout / "inventories/partners" / name).unlink()
    with pytest.raises(Refused, match=f"inventories/partners/{name} is missing"):
        declarations.check(PARTNERS)
