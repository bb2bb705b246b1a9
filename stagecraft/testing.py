"""`stagecraft test`: the suites, what each needs, and one closing line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from rehearsal import places
from stagecraft.progress import clock
from stagecraft.stages import ROOT, Refused

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
DOCS = (sys.executable, "-m", "mkdocs", "build", "--quiet")  # strict: a broken link fails it
COLLECTION = ROOT / "collections/ansible_collections/stagecraft/platform"
# Of `ansible-test sanity`, what works on the installed packages alone. The rest wants environments of its own, without
# the SDK (import, validate-modules), repeats ruff (pep8, pylint), or refuses what is meant (symlinks: roles).
SANITY = (
    "action-plugin-docs", "compile", "empty-init", "ignores", "line-endings", "no-get-exception",
    "no-illegal-filenames", "no-smart-quotes", "replace-urlopen", "shebang", "use-argspec-type-path", "use-compat-six",
)  # fmt: skip
SIDE_BY_SIDE = ("-n", "3")  # on two cores: a test that waits lets another one work
# What goes on beside what: checks and tests of one process each leave a core to the others; machines want all there is.
CHECKS, TESTS, SINGLE, MACHINES = "checks", "tests", "single", "machines"
COUNTS = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")


@dataclass(frozen=True)
class Suite:
    """A command that proves something."""

    name: str
    command: tuple[str, ...]
    lane: str = TESTS
    folder: Path = ROOT
    fast: bool = True  # no root, part of `make test-fast`

    @property
    def counts(self) -> bool:
        """Whether it is tests, which end in a line of "N passed"; otherwise it is one check."""
        return self.lane != CHECKS

    @property
    def names(self) -> tuple[str, ...]:
        """What `--only` may say to mean it."""
        return "", self.name, TESTS if self.counts else CHECKS

    def run(self, console: Console, log: Path) -> tuple[int, int, int]:
        """Run it, its output into the log. Returns passed, failed, skipped."""
        started = time.monotonic()
        with log.open("w") as out:
            code = subprocess.run(
                self.command, cwd=self.folder, env=environment(), stdout=out, stderr=subprocess.STDOUT
            ).returncode
        text = log.read_text(errors="replace")
        passed, failed, skipped = self.count(text, code)
        mark = "[green]ok[/]" if code == 0 else "[bold red]FAILED[/]"
        took = clock(time.monotonic() - started)
        said = f"{mark} {self.name:<18} {took:>7}  {passed} passed, {failed} failed, {skipped} skipped"
        if code:
            said += escape("\n" + "\n".join(text.strip().splitlines()[-60:])) + f"\n  full log: {log}"
        console.print(said)  # at once: two suites may end together
        return passed, failed, skipped

    def count(self, text: str, code: int) -> tuple[int, int, int]:
        found: dict[str, int] = {}
        if self.counts:
            lines = [line for line in text.splitlines() if COUNTS.search(line)]
            found = {kind: int(n) for n, kind in COUNTS.findall(lines[-1])} if lines else {}
        failed = found.get("failed", 0) + found.get("error", 0) + found.get("errors", 0)
        if code and not failed:
            failed = 1
        return found.get("passed", 0) or int(not self.counts and code == 0), failed, found.get("skipped", 0)


def environment() -> dict[str, str]:
    """That of this process, and what Python compiled is kept outside the checkout: the tests start it hundreds of times."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = os.environ | {"PATH": path, "PYTHONPYCACHEPREFIX": str(places.cache() / "bytecode")}
    own["PYTHONDONTWRITEBYTECODE"] = ""  # as if it were not set
    own["NO_MKDOCS_2_WARNING"] = "1"  # requirements.in says what comes after
    return own


def sanity() -> tuple[str, ...]:
    python = ".".join(map(str, sys.version_info[:2]))
    return ("ansible-test", "sanity", "--python", python, *(word for name in SANITY for word in ("--test", name)))


def suites() -> list[Suite]:
    """All suites, quickest first, so that a mistake shows early."""
    apps = sorted(file.parent for file in ROOT.glob("apps/*/pyproject.toml"))
    folders = sorted([*ROOT.glob("apps/*/tests"), *ROOT.glob("models/*/test_*.py")])
    return [
        Suite("ruff", ("ruff", "check", "."), CHECKS),
        Suite("format", ("ruff", "format", "--check", "."), CHECKS),
        Suite("yamllint", ("yamllint", "--strict", "."), CHECKS),
        Suite("modules", (sys.executable, "tools/generate_modules.py", "--check"), CHECKS),
        Suite("pipelines", (sys.executable, "-m", "stagecraft", "ci", "--check"), CHECKS),
        Suite("schema", (sys.executable, "-m", "stagecraft", "schema", "--check"), CHECKS),
        Suite("pictures", (sys.executable, "-m", "stagecraft", "topology", "--check"), CHECKS),
        Suite("docs", DOCS, CHECKS),
        Suite("sanity", sanity(), CHECKS, COLLECTION),
        Suite("mypy-stagecraft", ("mypy",), CHECKS),
        *(Suite(f"mypy-{app.name}", ("mypy",), CHECKS, app) for app in apps),
        Suite("unit", (*PYTEST, *SIDE_BY_SIDE, "tests/unit")),
        Suite("contract", (*PYTEST, *SIDE_BY_SIDE, "tests/contract/engine", "tests/contract/ansible")),
        Suite("delivery", (*PYTEST, "tests/contract/delivery"), SINGLE, fast=False),
        Suite("accept", (*PYTEST, *SIDE_BY_SIDE, "tests/contract/accept"), fast=False),
        Suite("faults", (*PYTEST, *SIDE_BY_SIDE, "tests/contract/faults"), fast=False),
        *(Suite(tests.parent.name, (*PYTEST, tests.name), SINGLE, tests.parent, fast=False) for tests in folders),
        Suite("ansible-lint", ("ansible-lint", "--offline", "-q"), CHECKS),
        Suite("roles", (sys.executable, "tests/roles/run.py"), MACHINES, fast=False),
        Suite("e2e", (*PYTEST, "-s", "tests/e2e"), MACHINES, fast=False),
    ]  # fmt: skip


def run(console: Console, *, fast: bool, only: str) -> int:
    """Run the suites; the exit code is 0 when all passed. Ends with `N passed, N failed, N skipped`."""
    chosen = [s for s in suites() if (s.fast or not fast) and only in s.names]
    if not chosen:
        raise Refused(f"There is no suite {only}. There are: {', '.join(s.name for s in suites())}.", 2)
    if os.geteuid() != 0 and any(not s.fast for s in chosen):
        raise Refused("`make test` starts machines and needs root: `sudo make test`. `make test-fast` does not.")
    logs = places.state() / "tests"
    logs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    results: list[tuple[int, int, int]] = []

    def in_turn(lane: str) -> None:
        for suite in (s for s in chosen if s.lane == lane):
            results.append(suite.run(console, logs / f"{suite.name}.log"))

    # Daemons: Ctrl-C ends the rest of them too.
    beside = [threading.Thread(target=in_turn, args=(lane,), daemon=True) for lane in (CHECKS, SINGLE)]
    for thread in beside:
        thread.start()
    in_turn(TESTS)
    for thread in beside:
        thread.join()
    in_turn(MACHINES)
    passed, failed, skipped = (sum(result[n] for result in results) for n in range(3))
    failed += len(chosen) - len(results)  # a check that could not even start has no result
    console.print(f"{clock(time.monotonic() - started)}, logs in {logs}")
    console.print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
