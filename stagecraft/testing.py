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
COUNTS = re.compile(r"(\d+) (passed|failed|error|errors|skipped)\b")


@dataclass(frozen=True)
class Suite:
    """A command that proves something."""

    name: str
    command: tuple[str, ...]
    fast: bool = True  # no root, part of `make test-fast`
    counts: bool = True  # tests, which end in a line of "N passed"; otherwise it is one check
    folder: Path = ROOT

    @property
    def names(self) -> tuple[str, ...]:
        """What `--only` may say to mean it."""
        return "", self.name, "tests" if self.counts else "checks"

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
        Suite("ruff", ("ruff", "check", "."), counts=False),
        Suite("format", ("ruff", "format", "--check", "."), counts=False),
        Suite("yamllint", ("yamllint", "--strict", "."), counts=False),
        Suite("modules", (sys.executable, "tools/generate_modules.py", "--check"), counts=False),
        Suite("pipelines", (sys.executable, "-m", "stagecraft", "ci", "--check"), counts=False),
        Suite("schema", (sys.executable, "-m", "stagecraft", "schema", "--check"), counts=False),
        Suite("pictures", (sys.executable, "-m", "stagecraft", "topology", "--check"), counts=False),
        Suite("docs", DOCS, counts=False),
        Suite("sanity", sanity(), counts=False, folder=COLLECTION),
        Suite("mypy-stagecraft", ("mypy",), counts=False),
        *(Suite(f"mypy-{app.name}", ("mypy",), counts=False, folder=app) for app in apps),
        Suite("unit", (*PYTEST, *SIDE_BY_SIDE, "tests/unit")),
        Suite("contract", (*PYTEST, *SIDE_BY_SIDE, "tests/contract/engine", "tests/contract/ansible")),
        Suite("delivery", (*PYTEST, "tests/contract/delivery"), fast=False),
        Suite("accept", (*PYTEST, *SIDE_BY_SIDE, "tests/contract/accept"), fast=False),
        Suite("faults", (*PYTEST, *SIDE_BY_SIDE, "tests/contract/faults"), fast=False),
        *(Suite(tests.parent.name, (*PYTEST, tests.name), False, folder=tests.parent) for tests in folders),
        Suite("ansible-lint", ("ansible-lint", "--offline", "-q"), counts=False),
        Suite("roles", (sys.executable, "tests/roles/run.py"), fast=False),
        Suite("e2e", (*PYTEST, "-s", "tests/e2e"), fast=False),
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

    def in_turn(checks: bool) -> None:
        for suite in (s for s in chosen if s.counts != checks):
            results.append(suite.run(console, logs / f"{suite.name}.log"))

    # Checks use one core and tests often wait, so both go on side by side. A daemon: Ctrl-C ends the rest of them too.
    checks = threading.Thread(target=in_turn, args=(True,), daemon=True)
    checks.start()
    in_turn(False)
    checks.join()
    passed, failed, skipped = (sum(result[n] for result in results) for n in range(3))
    failed += len(chosen) - len(results)  # a check that could not even start has no result
    console.print(f"{clock(time.monotonic() - started)}, logs in {logs}")
    console.print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
