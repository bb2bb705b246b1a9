"""`stagecraft cost`: what stages cost a month; and `stagecraft prices`, the lists that it is counted with."""

from __future__ import annotations

import datetime
import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from stagecraft import stages
from stagecraft.cost import prices as lists
from stagecraft.cost.budget import OVER_BUDGET, budget, first_estimate, planned
from stagecraft.cost.estimate import Estimate, Resources, estimate
from stagecraft.cost.prices import Prices
from stagecraft.stages import Refused, Stage

if TYPE_CHECKING:
    from stagecraft.cost.report import Report

OLD = 180  # days

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="The price lists that `stagecraft cost` counts with.",
)  # fmt: skip


def cost(
    names: Annotated[list[str] | None, typer.Argument(help="Stages; without one, all.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write the chart to this file, too.")] = None,
    what_if: Annotated[
        list[str] | None, typer.Option(metavar="PATH=VALUE", help="A changed declaration: serving.preemptible=true.")
    ] = None,
    used: Annotated[
        Path | None,
        typer.Option(
            "--measured", help="What was used in a month, as `usage` or Prometheus has it: compare with it; - reads it."
        ),
    ] = None,
) -> None:
    """What stages cost a month, by their declarations and the price lists; exit code 3 where one is over its budget."""
    if as_json and as_markdown:
        raise Refused("Say --json or --markdown, not both.", 2)
    from stagecraft.cost import chart, report  # here, so that other commands start sooner

    gc.disable()  # it ends before garbage matters, and looking for it takes a tenth of its time
    chosen = [stages.stage(name) for name in names or [] if name] or [Stage(name) for name in stages.names()]
    if (what_if or used) and len(chosen) > 1:
        raise Refused("--what-if and --measured are about one stage: say which, as in `stagecraft cost partners`.", 2)
    prices, told = lists.load(), []
    for stage in chosen:
        told.append(reported(stage, prices, what_if or [], used))
    missing = planned() if len(told) > 1 else []
    console = Console(highlight=False)
    if as_json:
        console.out(json.dumps([report.data(one) for one in told], indent=1, ensure_ascii=False))
    elif as_markdown:
        console.out(report.markdown(told, missing))
    else:
        for one in told:
            console.print(report.table(one), "", *(escape(line) for line in one.remarks()), sep="\n")
            console.print()
        if len(told) > 1:
            console.print(report.side_table(told), "", *(escape(line) for line in missing), "", sep="\n")
        for one in told:
            console.print(one.closing(), soft_wrap=True)
    if svg:
        svg.write_text(chart.svg([one.bar() for one in told]))
    raise SystemExit(OVER_BUDGET if any(one.over for one in told) else 0)


def reported(stage: Stage, prices: Prices, changes: list[str], used: Path | None) -> Report:
    """The report of one stage: with its price before the changes, and as it was used, where these are asked for."""
    from stagecraft.cost import measured, reading, report

    declared = reading.read(stage, changes)

    def priced(what: reading.Declared, usage: Resources) -> Estimate:
        return estimate(stage.name, what.resources, usage, prices)

    as_used, differences = None, list[str]()
    if used:
        usage, differences = measured.together(stage.name, declared.usage, measured.read(used))
        as_used = priced(declared, usage)
    original = reading.read(stage) if changes else None
    return report.Report(
        estimate=priced(declared, declared.usage),
        budget=budget(stage.name, declared.budget, prices),
        first=first_estimate(stage.name, declared.first_estimate),
        prices=prices,
        before=priced(original, original.usage) if original else None,
        as_used=as_used,
        differences=tuple(differences),
    )


@app.command()
def check(days: Annotated[int, typer.Option(min=0, help="How old an entry may be.")] = OLD) -> None:
    """Name the prices and rates that are old; exit code 1 where there are some."""
    console, prices = Console(highlight=False), lists.load()
    found = lists.old(prices, datetime.date.today(), days)
    for one in found:
        name = f"{one.provider} {one.name}" if isinstance(one, lists.Price) else f"the rate of {one.currency}"
        console.print(f"{one.date}  {name}  {one.place}  {one.source}", soft_wrap=True)
    total = len(prices.prices) + len(prices.rates)
    console.print(f"{len(found)} of {total} prices and rates are older than {days} days")
    raise SystemExit(1 if found else 0)


@app.command("import")
def take_in(
    provider: Annotated[str, typer.Argument(help="Whose prices: yandex or aws.", show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="Yandex Billing's list of SKUs, or an AWS offer file, as JSON.", show_default=False)
    ],
) -> None:
    """Bring a price list up to date from what its provider publishes; entries that name no product there stay."""
    from stagecraft.cost import importers, rewriting

    if provider not in importers.PROVIDERS:
        raise stages.unknown(provider, importers.PROVIDERS, "importer")
    console, today, path = (
        Console(highlight=False),
        datetime.date.today(),
        stages.ROOT / lists.FOLDER / f"{provider}.yml",
    )
    entries = [
        one
        for one in lists.load().prices.values()
        if one.provider == provider and one.place.startswith(str(stages.shown(path)))
    ]
    try:
        find = importers.PROVIDERS[provider](file.read_text(), today)
    except UnicodeDecodeError:
        raise Refused(f"{file} is no text.", 2) from None
    changed, unchanged, missing = rewriting.update(path, entries, find, today)
    for line in changed:
        console.print(line, soft_wrap=True)
    if missing:
        console.print(f"not in {escape(str(file))}: {', '.join(missing)}", soft_wrap=True)
    console.print(f"{len(changed)} changed, {unchanged} confirmed, {len(missing)} not found")
