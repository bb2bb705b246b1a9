"""Checking a stage by talking to it, and what its checks said: from the JUnit file that they leave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console

from stagecraft import playbooks
from stagecraft.stages import ROOT, Refused
from stagecraft.target import Target

WIDTH = 200  # characters of a check's words


@dataclass(frozen=True)
class Checks:
    """What the checks of one verification came to."""

    passed: int
    failed: tuple[str, ...]  # a line each: which, and why

    @classmethod
    def of(cls, report: Path) -> Checks:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))  # noqa: S314 - our own file
        failed = tuple(told for case in cases if (told := complaint(case)))
        skipped = sum(case.find("skipped") is not None for case in cases)
        return cls(len(cases) - len(failed) - skipped, failed)


def complaint(case: ElementTree.Element) -> str:
    """`test_tls: test_the_chain: AssertionError: ...`, or nothing where the check did not fail."""
    for kind in ("failure", "error"):
        if (found := case.find(kind)) is not None:
            why = (found.get("message") or found.text or "").strip().partition("\n")[0]
            where = case.get("classname", "").rpartition(".")[2]
            return f"{where}: {case.get('name')}: {why[:WIDTH]}"
    return ""


def verify(target: Target, console: Console) -> tuple[playbooks.Outcome, int]:
    """Run the checks of a stage; returns the run and how many passed. Raises Refused with those that failed."""
    report, name = target.folder / "verify.xml", target.stage.name
    report.unlink(missing_ok=True)
    try:
        outcome = playbooks.run(target, ROOT / "playbooks" / "verify.yml", console)
    except Refused as refused:
        if not report.exists() or not (checks := Checks.of(report)).failed:
            raise
        count = len(checks.failed)
        lines = [f"{name}: {count} of {checks.passed + count} checks failed:", *(f"  {line}" for line in checks.failed)]
        lines += [str(refused).partition("\n")[2], f"  their report: {report}"]
        lines.append(
            f"  what next: make apply STAGE={name} brings back what is declared; then make verify STAGE={name}"
        )
        raise Refused("\n".join(lines), refused.code) from None
    return outcome, Checks.of(report).passed
