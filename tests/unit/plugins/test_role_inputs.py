"""One digest of what roles read on a host: it changes with that, and with nothing else."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.stagecraft.platform.plugins.lookup.role_inputs import LookupModule

HOST = {
    "inventory_hostname": "edge-1",
    "group_names": ["edge"],
    "nginx_backends": trust_as_template("{{ backends }}"),
    "backends": ["a", "b"],
    "unrelated": 1,
    "nginx_unknown": trust_as_template("{{ nothing_of_this_name }}"),
}


def inputs(*sources: str, **changed: object) -> str:
    variables = HOST | changed
    lookup = LookupModule(DataLoader(), Templar(DataLoader(), variables))
    (found,) = lookup.run(list(sources), variables)
    assert len(found) == 64
    return found


@pytest.mark.parametrize("changed", [
    {"backends": ["a"]}, {"nginx_new": ""}, {"group_names": ["edge", "spare"]}, {"inventory_hostname": "edge-2"},
    {"nginx_unknown": "known"},
])  # fmt: skip
def test_what_a_role_reads_counts(changed):
    assert inputs() == inputs() != inputs(**changed)


@pytest.mark.parametrize("changed", [{"unrelated": 2}, {"nginxes": 3}, {"__nginx_fact": 4}])
def test_what_no_role_reads_does_not(changed):
    assert inputs() == inputs(**changed)


def test_files_count_by_their_content(tmp_path):
    folder, wheel = tmp_path / "code", tmp_path / "program.whl"
    (folder / "tests").mkdir(parents=True)
    for file in (folder / "main.py", folder / "tests" / "test.py", wheel):
        file.write_text("first")

    def now() -> str:
        return inputs(str(folder), inference_api_wheel=[{"path": str(wheel)}])

    before = now()
    (folder / "tests" / "test.py").write_text("second")
    assert now() == before
    (folder / "main.py").write_text("second")
    with_other_code = now()
    wheel.write_text("second")
    assert len({before, with_other_code, now()}) == 3
