"""What is measured, against what, and how far it may be off; and the table of what was seen."""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import ROOT
from rehearsal import files

SEEN = ROOT / "build" / "bench.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PUBLIC = 0o644  # the mode of both
RUNS = 5
LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True)
class Figure:
    """One line of the table. `goal` is the most (or, where higher is better, the least) that is promised."""

    name: str
    goal: float
    what: str  # what is compared with what
    unit: str = "ratio"
    better: str = LOWER

    def met(self, value: float) -> bool:
        return value <= self.goal if self.better == LOWER else value >= self.goal


@dataclass(frozen=True)
class Bench:
    """A measurement: it makes one or more figures in one run, so that they share their conditions."""

    figures: tuple[Figure, ...]
    measure: Callable[[Callable[[str], None]], dict[str, float]]  # takes what says a line of progress
    root: bool = False


@dataclass
class Table:
    """What was seen, by figure; written after each measurement, so that an interrupted run keeps what it has."""

    rows: dict[str, dict] = field(default_factory=dict)

    @classmethod
    def read(cls, figures: list[Figure]) -> Table:
        """What the page says of them, so that one figure can be measured anew in any checkout and the others stay."""
        said = dict(re.findall(r"^\| ([\w-]+) \| ([\d.e+-]+)", PAGE.read_text(), re.MULTILINE))
        table = cls()
        for figure in figures:
            if figure.name in said:
                table.add(figure, float(said[figure.name]))
        return table

    def add(self, figure: Figure, value: float) -> None:
        self.rows[figure.name] = {
            "name": figure.name,
            "value": round(value, 3),
            "unit": figure.unit,
            "goal": figure.goal,
            "better": figure.better,
            "met": figure.met(value),
        }

    def write(self, figures: list[Figure]) -> None:
        """The JSON, and the table of the page, in the order of the figures; what the page says around it stays."""
        known = [figure for figure in figures if figure.name in self.rows]
        SEEN.parent.mkdir(exist_ok=True)
        rows = json.dumps([self.rows[figure.name] for figure in known], indent=1)
        files.write(SEEN, f"{rows}\n", PUBLIC)
        lines = [f"Last written {time.strftime('%Y-%m-%d')} on a machine with {os.cpu_count()} cores.", ""]
        lines += ["| figure | is | goal | met | compares |", "| --- | --- | --- | --- | --- |"]
        for figure in known:
            row, sign = self.rows[figure.name], "≤" if figure.better == LOWER else "≥"
            unit = "" if figure.unit == "ratio" else f" {figure.unit}"
            met = "yes" if row["met"] else "**no**"
            lines.append(
                f"| {figure.name} | {row['value']:g}{unit} | {sign} {figure.goal:g}{unit} | {met} | {figure.what} |"
            )
        files.write(PAGE, between(PAGE.read_text(), "\n".join(lines)), PUBLIC)


BEGIN, END = "<!-- written by make bench -->", "<!-- end -->"


def between(page: str, text: str) -> str:
    """The page with the text between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def medians(runs: int, *measured: Callable[[], float]) -> list[float]:
    """The median of each over so many rounds; a round runs them one after the other, so that what disturbs, disturbs all."""
    seen: list[list[float]] = [[] for _ in measured]
    for _ in range(runs):
        for times, one in zip(seen, measured, strict=True):
            times.append(one())
    return [statistics.median(times) for times in seen]


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
