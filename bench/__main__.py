"""Run the benches: `python -m bench [name]`."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table as Shown

from bench import api, cold_start, converge, cost, engine, export, image, inventory, rehearse, role_test, scale, stack
from bench.figures import Bench, Figure, Table
from stagecraft import testing

BENCHES: tuple[Bench, ...] = (
    *stack.BENCHES, *export.BENCHES, *inventory.BENCHES, *converge.BENCHES, *role_test.BENCHES, *api.BENCHES,
    *engine.BENCHES, *image.BENCHES, *rehearse.BENCHES, *cold_start.BENCHES, *scale.BENCHES, *cost.BENCHES,
)  # fmt: skip
FIGURES: list[Figure] = [figure for bench in BENCHES for figure in bench.figures]


def main(only: str = "") -> int:
    """Measure, write the table, print it; the exit code is 0 when every goal that was measured is met."""
    console = Console(highlight=False)
    chosen = [bench for bench in BENCHES if not only or only in {figure.name for figure in bench.figures}]
    if not chosen:
        console.print(f"There is no figure {only}. There are: {', '.join(figure.name for figure in FIGURES)}.")
        return 2
    os.environ.update(testing.environment())  # Python keeps what it compiles, as it does unless it is told not to
    table, met = Table.read(FIGURES), True
    for bench in chosen:
        console.print(f"[bold]{', '.join(figure.name for figure in bench.figures)}")
        values = bench.measure(lambda line: console.print(f"  {line}"))
        for figure in bench.figures:
            table.add(figure, values[figure.name])
            met = met and figure.met(values[figure.name])
        table.write(FIGURES)
    show(console, table, {figure.name for bench in chosen for figure in bench.figures})
    return 0 if met else 1


def show(console: Console, table: Table, names: set[str]) -> None:
    """What was measured now."""
    shown = Shown("figure", "is", "goal", "", box=None, pad_edge=False)
    for row in table.rows.values():
        if row["name"] in names:
            goal = f"{'at most' if row['better'] == 'lower' else 'at least'} {row['goal']:g}"
            shown.add_row(row["name"], f"{row['value']:g} {row['unit']}", goal, "met" if row["met"] else "[red]not met")
    console.print(shown)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
