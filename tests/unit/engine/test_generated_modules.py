"""Generated files are what the declarations say, and say what the modules take."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.stagecraft.platform.plugins.module_utils import connection, options
from ansible_collections.stagecraft.platform.plugins.module_utils.resources import ALL

ROOT = Path(__file__).parents[3]
PLUGINS = ROOT / "collections/ansible_collections/stagecraft/platform/plugins"


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_none_is_stale():
    done = subprocess.run(
        [sys.executable, "tools/generate_modules.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_connection_options_are_the_documented_ones():
    fragment = load(PLUGINS / "doc_fragments/connection.py").ModuleDocFragment.DOCUMENTATION
    documented, taken = yaml.safe_load(fragment)["options"], connection.argument_spec()
    assert set(documented) == set(taken)
    for name, spec in taken.items():
        told = {k: documented[name].get(k) for k in ("type", "default", "choices")}
        assert told == {k: spec.get(k) for k in told}, name


@pytest.mark.parametrize("resource", ALL, ids=lambda r: r.kind)
def test_documentation_is_of_these_options(resource):
    file = load(PLUGINS / f"modules/{resource.name}.py")
    spec = options.argument_spec(resource.backend(None, resource, {}))
    documented = yaml.safe_load(file.DOCUMENTATION)["options"]
    documented.pop("stage_labels", None)
    compare(documented, spec)
    (task,) = yaml.safe_load(file.EXAMPLES)
    example = task[f"stagecraft.platform.{resource.name}"]
    assert options.strangers(spec, example) == []
    assert set(yaml.safe_load(file.RETURN)) == {"exists", resource.noun}


def compare(documented: dict, spec: dict) -> None:
    assert set(documented) == set(spec)
    for name, option in spec.items():
        told = documented[name]
        assert told["description"] and all(told["description"])
        assert told.get("required", False) == option.get("required", False)
        assert told.get("choices") == option.get("choices")
        if "options" in option:
            compare(told["suboptions"], option["options"])
