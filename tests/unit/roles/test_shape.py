"""Every role has the same shape, describes what it takes, and stands alone."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/tasks/main.yml"))
PHASES = ["preflight", "install", "configure", "service"]
STAGES = sorted(path.name for path in (ROOT / "inventories").iterdir() if path.is_dir() and path.name != "shared")
INCLUDES = ("include_role", "import_role", "include_tasks", "import_tasks")

pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path: Path):
    return yaml.safe_load(path.read_text()) if path.exists() else None


def options(role: Path) -> dict:
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options", {})


def tasks(role: Path) -> list[dict]:
    """Every task of the role, those in blocks too."""
    found = []
    waiting = [task for path in role.glob("tasks/*.yml") for task in load(path) or []]
    while waiting:
        task = waiting.pop()
        found.append(task)
        for part in ("block", "rescue", "always"):
            waiting += task.get(part, [])
    return found


def test_defaults_are_what_the_specification_says(role):
    described = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert (load(role / "defaults" / "main.yml") or {}) == described


def test_an_option_is_required_or_has_a_default_or_may_be_left_out_on_purpose(role):
    for name, option in options(role).items():
        assert option.get("description"), f"{name} has no description"
        assert bool(option.get("required")) is not ("default" in option) or option.get("no_log"), (
            f"{name}: required and default exclude each other, and one of them is there (a secret may have neither)"
        )


def test_secrets_have_no_default(role):
    for name, option in options(role).items():
        if option.get("no_log") or re.search(r"(password|secret|token|_key)$", name):
            assert not option.get("default"), f"{name} looks like a secret and has a default"  # empty: not used


def test_names_carry_the_role(role):
    for name in options(role):
        assert name.startswith(f"{role.name}_"), name
    for name in load(role / "vars" / "main.yml") or {}:
        assert name.startswith(f"__{role.name}_"), name
    for task in tasks(role):
        if "register" in task:
            assert task["register"].startswith(f"__{role.name}_"), task["register"]


def test_main_is_a_table_of_contents(role):
    main = load(role / "tasks" / "main.yml")
    contents = [task["ansible.builtin.import_tasks"].removesuffix(".yml") for task in main]
    assert [phase for phase in contents if phase in PHASES] == PHASES  # one of its own may stand between
    for phase in PHASES:
        assert (role / "tasks" / f"{phase}.yml").exists()


def test_no_role_includes_a_sibling(role):
    assert not (load(role / "meta" / "main.yml") or {}).get("dependencies")
    for task in tasks(role):
        for key, value in task.items():
            if key.rpartition(".")[2] in INCLUDES[:2]:
                pytest.fail(f"{role.name} includes the role {value}")
            if key.rpartition(".")[2] in INCLUDES:
                assert "/" not in str(value), f"{role.name} includes {value}"


def test_no_stage_and_no_rehearsal_is_known_here(role):
    words = re.compile(rf"\b({'|'.join([*STAGES, 'rehears\\w*'])})\b")
    for path in role.rglob("*"):
        if path.is_file() and path.suffix != ".md":
            found = words.search(path.read_text(errors="replace"))
            assert not found, f"{path.relative_to(ROOT)} says {found.group()}"


def test_it_has_a_scenario_that_asks_questions(role):
    scenario = ROOT / "molecule" / role.name
    assert (scenario / "converge.yml").exists()
    assert "def test_" in (scenario / f"test_{role.name}.py").read_text()
