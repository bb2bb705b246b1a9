"""The price of stages as a picture: a bar a stage, a part of it a component, and a mark where its budget is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.etree import ElementTree

from stagecraft.cost.estimate import rounded
from stagecraft.cost.prices import DOLLAR

# Told apart by those who do not see all colours (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
WIDTH, LEFT, BAR, ROW, LEGEND = 760, 110, 520, 54, 24  # pixels


@dataclass(frozen=True)
class Bar:
    """What is drawn of a price: its name, dollars by component and in all, and the most that they may be."""

    name: str
    components: dict[str, Decimal]
    total: Decimal
    budget: Decimal | None

    @property
    def most(self) -> Decimal:
        return max(self.total, self.budget or Decimal(0), Decimal("0.01"))

    def says(self) -> str:
        allowed = f", budget {self.budget:.2f}" if self.budget is not None else ""
        return f"{rounded(self.total)} {DOLLAR} a month{allowed}"


def svg(bars: Sequence[Bar], *, one_scale: bool = False) -> str:
    """The picture as the text of an SVG. Each bar has a scale of its own, so that a small stage can be seen, or all one."""
    priced = [(name, dollars) for bar in bars for name, dollars in bar.components.items()]
    names = list(dict.fromkeys(name for name, dollars in priced if rounded(dollars)))
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    height = ROW * len(bars) + LEGEND * ((len(names) + 3) // 4) + 20
    longest = max((bar.most for bar in bars), default=Decimal(1))
    shape = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height}", "role": "img"}
    root = ElementTree.Element("svg", shape | {"font-family": "sans-serif", "font-size": "13"})
    ElementTree.SubElement(root, "title").text = "; ".join(f"{bar.name}: {bar.says()}" for bar in bars)
    ElementTree.SubElement(root, "rect", width=str(WIDTH), height=str(height), fill="#ffffff")
    for n, bar in enumerate(bars):
        draw(root, bar, 12 + n * ROW, colours, longest if one_scale else bar.most)
    for n, name in enumerate(names):
        x, y = 12 + n % 4 * 185, ROW * len(bars) + 14 + n // 4 * LEGEND
        ElementTree.SubElement(root, "rect", x=str(x), y=str(y), width="12", height="12", fill=colours[name])
        write(root, x + 18, y + 11, name)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def draw(root: ElementTree.Element, bar: Bar, top: int, colours: dict[str, str], most: Decimal) -> None:
    """One bar: its parts in proportion to `most`, the dollars of the whole width."""
    write(root, 12, top + 17, bar.name, weight="bold")
    x = Decimal(LEFT)
    for name, dollars in bar.components.items():
        if name not in colours:  # less than a cent
            continue
        width = dollars / most * BAR
        part = ElementTree.SubElement(
            root, "rect", x=f"{x:.2f}", y=str(top), width=f"{width:.2f}", height="24", fill=colours[name]
        )
        ElementTree.SubElement(part, "title").text = f"{name}: {rounded(dollars)} {DOLLAR}"
        x += width
    if bar.budget is not None:
        mark = f"{LEFT + bar.budget / most * BAR:.2f}"
        line = {"stroke": "#000000", "stroke-width": "2", "stroke-dasharray": "4 2"}
        ElementTree.SubElement(root, "line", x1=mark, x2=mark, y1=str(top - 4), y2=str(top + 28), attrib=line)
    write(root, LEFT, top + 40, bar.says())


def write(root: ElementTree.Element, x: int, y: int, text: str, weight: str = "normal") -> None:
    made = ElementTree.SubElement(root, "text", x=str(x), y=str(y), fill="#222222", attrib={"font-weight": weight})
    made.text = text
