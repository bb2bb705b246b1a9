"""The price of stages as a picture: a bar a stage, a part of it a component, and a mark where its budget is."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree

from stagecraft.cost.estimate import rounded
from stagecraft.cost.prices import DOLLAR
from stagecraft.cost.report import Report

# Told apart by those who do not see all colours (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
WIDTH, LEFT, BAR, ROW, LEGEND = 760, 110, 520, 54, 24  # pixels


def svg(reports: list[Report]) -> str:
    """The picture as the text of an SVG. Each bar has a scale of its own, so that a small stage can be seen."""
    priced = [(name, dollars) for report in reports for name, dollars in report.estimate.components().items()]
    names = list(dict.fromkeys(name for name, dollars in priced if rounded(dollars)))
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    height = ROW * len(reports) + LEGEND * ((len(names) + 3) // 4) + 20
    shape = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height}", "role": "img"}
    root = ElementTree.Element("svg", shape | {"font-family": "sans-serif", "font-size": "13"})
    ElementTree.SubElement(root, "title").text = "; ".join(report.closing() for report in reports)
    ElementTree.SubElement(root, "rect", width=str(WIDTH), height=str(height), fill="#ffffff")
    for n, report in enumerate(reports):
        bar(root, report, 12 + n * ROW, colours)
    for n, name in enumerate(names):
        x, y = 12 + n % 4 * 185, ROW * len(reports) + 14 + n // 4 * LEGEND
        ElementTree.SubElement(root, "rect", x=str(x), y=str(y), width="12", height="12", fill=colours[name])
        write(root, x + 18, y + 11, name)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def bar(root: ElementTree.Element, report: Report, top: int, colours: dict[str, str]) -> None:
    """One stage: its parts in proportion to the larger of its total and its budget."""
    most = max(report.estimate.total, report.budget.monthly if report.budget else Decimal(0), Decimal("0.01"))
    write(root, 12, top + 17, report.estimate.stage, weight="bold")
    x = Decimal(LEFT)
    for name, dollars in report.estimate.components().items():
        if name not in colours:  # less than a cent
            continue
        width = dollars / most * BAR
        part = ElementTree.SubElement(
            root, "rect", x=f"{x:.2f}", y=str(top), width=f"{width:.2f}", height="24", fill=colours[name]
        )
        ElementTree.SubElement(part, "title").text = f"{name}: {rounded(dollars)} {DOLLAR}"
        x += width
    if report.budget:
        mark = f"{LEFT + report.budget.monthly / most * BAR:.2f}"
        line = {"stroke": "#000000", "stroke-width": "2", "stroke-dasharray": "4 2"}
        ElementTree.SubElement(root, "line", x1=mark, x2=mark, y1=str(top - 4), y2=str(top + 28), attrib=line)
    allowed = f", budget {report.budget.monthly:.2f}" if report.budget else ""
    write(root, LEFT, top + 40, f"{rounded(report.estimate.total)} {DOLLAR} a month{allowed}")


def write(root: ElementTree.Element, x: int, y: int, text: str, weight: str = "normal") -> None:
    made = ElementTree.SubElement(root, "text", x=str(x), y=str(y), fill="#222222", attrib={"font-weight": weight})
    made.text = text
