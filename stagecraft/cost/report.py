"""What a stage costs, told: as a table for a terminal, as Markdown, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.table import Table

from stagecraft.cost.budget import Budget, FirstEstimate, closing
from stagecraft.cost.chart import Bar
from stagecraft.cost.estimate import EXACT, Estimate, rounded
from stagecraft.cost.item import HOURS
from stagecraft.cost.prices import DOLLAR, Prices, Rate

Row = tuple[str, str, str, str, str]
HEAD = ("component", "what", "a month", "price", DOLLAR)


@dataclass(frozen=True)
class Report:
    """A stage's price and what it is compared with: `before`, the price without the changes that are asked about, and
    `as_used`, the price of what was measured, which is not what is assumed in `differences`."""

    estimate: Estimate
    budget: Budget | None
    first: FirstEstimate | None
    prices: Prices
    before: Estimate | None = None
    as_used: Estimate | None = None
    differences: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        return self.budget is not None and self.budget.exceeded(self.estimate.total)

    def bar(self) -> Bar:
        """It in the chart."""
        found = self.estimate
        return Bar(found.stage, found.components(), found.total, self.budget.monthly if self.budget else None)

    def closing(self) -> str:
        return closing(self.estimate, self.budget)

    def difference(self) -> Decimal | None:
        """Dollars a month that the changes make, less than nothing where they save; None where there are none."""
        return rounded(self.estimate.total) - rounded(self.before.total) if self.before else None

    def rates(self) -> list[Rate]:
        """The rates that its prices were converted by."""
        used = {line.price.currency for line in self.estimate.lines}
        return [rate for currency, rate in self.prices.rates.items() if currency in used]

    def remarks(self) -> list[str]:
        """What has to be said beside the table, a sentence each."""
        said = [f"Counted with {HOURS} hours a month; {rounded(self.estimate.vat)} {DOLLAR} of it are VAT."]
        for rate in self.rates():
            said.append(f"{rate.currency} at {rate.per_dollar} for a dollar, the rate of {rate.date} ({rate.source}).")
        dates = sorted({line.price.date for line in self.estimate.lines})
        if dates:
            said.append(f"Its prices are of {dates[0]} to {dates[-1]}; `stagecraft prices check` names the old ones.")
        if self.first:
            said.append(f"First thought to cost about {self.first.monthly} {DOLLAR}. {self.first.why}")
        if (difference := self.difference()) is not None:
            said.append(f"The change makes {difference:+} {DOLLAR} a month.")
        if self.as_used:
            measured = rounded(self.as_used.total)
            difference = measured - rounded(self.estimate.total)
            said.append(f"As it was used, it costs {measured} {DOLLAR} a month, {difference:+} to what is assumed.")
            said += [f"  {line}" for line in self.differences]
        if self.over:
            said.append("This is over its budget.")
        return said


def rows(estimate: Estimate) -> list[Row]:
    """A row for each thing that is billed at a price, the dearest component first, and its sum."""
    found: list[Row] = []
    for component, sum_of in estimate.components().items():
        grouped: dict[tuple[str, str], list[Any]] = {}
        for line in estimate.lines:
            if line.component == component:
                grouped.setdefault((line.what, line.price.name), []).append(line)
        for (what, _), lines in grouped.items():
            price = lines[0].price
            each = f"{price.price:f} {price.currency}" + (f" for {price.per:f}" if price.per != 1 else "")
            amount = shown(EXACT.create_decimal(sum(line.amount for line in lines)))
            free = sum(line.amount - line.billed for line in lines)
            quantity = f"{amount} {price.unit.replace('_', '·')}" + (f", {shown(free)} free" if free else "")
            found.append((component, what, quantity, each, f"{rounded(sum(line.dollars for line in lines))}"))
        found.append((component, "", "", "", f"{rounded(sum_of)}"))
    return found


def shown(amount: Decimal) -> str:
    """A quantity for people: at most two digits behind the point, thousands apart."""
    text = f"{rounded(amount):,}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(report: Report) -> Table:
    """The table of one stage for a terminal."""
    made = Table(*HEAD[:-1], title=report.estimate.stage, title_justify="left", box=None, pad_edge=False)
    made.add_column(DOLLAR, justify="right")
    for component, what, quantity, each, dollars in rows(report.estimate):
        made.add_row(
            component if not what else "", what or "in all", quantity, each, dollars, style="" if what else "bold"
        )
    return made


def side_by_side(reports: list[Report]) -> list[tuple[str, ...]]:
    """Stages beside each other: a row a component, then the total, the budget and what was first thought."""
    every = [report.estimate.components() for report in reports]
    names = sorted({name for one in every for name in one}, key=lambda name: -max(one.get(name, 0) for one in every))
    found = [(name, *(f"{rounded(one[name])}" if name in one else "" for one in every)) for name in names]
    found.append(("total", *(f"{rounded(report.estimate.total)}" for report in reports)))
    found.append(("budget", *(f"{report.budget.monthly:.2f}" if report.budget else "none" for report in reports)))
    found.append(("first thought", *(f"{report.first.monthly:.2f}" if report.first else "" for report in reports)))
    return found


def side_table(reports: list[Report]) -> Table:
    made = Table("", box=None, pad_edge=False)
    for report in reports:
        made.add_column(report.estimate.stage, justify="right")
    for row in side_by_side(reports):
        made.add_row(*row, style="bold" if row[0] == "total" else "")
    return made


def markdown(reports: list[Report], planned: list[str]) -> str:
    """The same for a merge request; `planned` is a line for each stage that is not there yet."""
    said: list[str] = []
    for report in reports:
        said += [f"## {report.estimate.stage}", "", *lines_of(HEAD, rows(report.estimate)), ""]
        said += [*report.remarks(), "", f"**{report.closing()}**", ""]
    if len(reports) > 1:
        said += [
            "## Side by side",
            "",
            *lines_of(("", *(r.estimate.stage for r in reports)), side_by_side(reports)),
            "",
        ]
    said += [line for one in planned for line in (one, "")]
    return "\n".join(said)


def lines_of(head: tuple[str, ...], body: list[Any]) -> list[str]:
    line = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return line + ["| " + " | ".join(row) + " |" for row in body]


def data(report: Report) -> dict[str, Any]:
    """The same for programs; amounts are text, so that none is rounded on the way."""
    estimate = report.estimate
    return {
        "stage": estimate.stage,
        "currency": DOLLAR,
        "monthly": str(rounded(estimate.total)),
        "vat": str(rounded(estimate.vat)),
        "budget": str(report.budget.monthly) if report.budget else None,
        "over_budget": report.over,
        "first_estimate": {"monthly": str(report.first.monthly), "why": report.first.why} if report.first else None,
        "difference": None if report.before is None else str(report.difference()),
        "as_used": str(rounded(report.as_used.total)) if report.as_used else None,
        "components": {name: str(rounded(dollars)) for name, dollars in estimate.components().items()},
        "rates": {rate.currency: {"per_dollar": str(rate.per_dollar), "date": str(rate.date)} for rate in report.rates()},
        "lines": [
            {
                "component": line.component, "kind": line.kind, "name": line.name, "what": line.what,
                "amount": str(line.amount), "billed": str(line.billed), "unit": line.price.unit,
                "price": str(line.price.price), "per": str(line.price.per), "price_currency": line.price.currency,
                "price_name": line.price.name, "price_date": str(line.price.date), "source": line.price.source,
                "monthly": str(rounded(line.dollars)),
            }
            for line in estimate.lines
        ],
    }  # fmt: skip
