"""A plan for a person at a terminal, however narrow it is."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.markup import escape

from stagecraft.plan import words
from stagecraft.plan.model import Plan

LOOKS = {"create": ("+", "green"), "change": ("~", "yellow"), "replace": ("!", "magenta"), "delete": ("-", "red")}


def show(plan: Plan, console: Console) -> None:
    """Print the report; its last line is the closing one."""

    def say(indent: int, text: str, style: str = "", hang: int = 2) -> None:
        text = words.visible(text)
        lines = [text]
        if console.is_terminal:  # what goes to a file or another program keeps its lines
            room = max(console.width - indent, 20)
            lines = textwrap.wrap(text, room, subsequent_indent=" " * hang, drop_whitespace=True) or [""]
        for line in lines:
            console.print(" " * indent + escape(line), style=style, soft_wrap=True)

    for change in plan.changes:
        mark, style = LOOKS[change.action]
        say(0, f"{mark} {change.action}  {change.item}{f': {change.why}' if change.why else ''}", style)
        for line in words.details(change):
            say(4, line)
    for item in plan.undeclared:
        say(0, f"? undeclared  {item}", "dim")
    for host in plan.hosts:
        say(0, f"{'+' if host.new else '~'} {words.called(host)}", "green" if host.new else "yellow")
        for line in words.on_host(host):
            say(4, line)
    if plan.undeclared:
        say(0, "undeclared things stay, unless you plan and apply with -e prune=true")
    for line in words.remarks(plan):
        say(0, line)
    if plan.origin.cloud_only:
        say(0, "machines were not asked")
    console.print(plan.closing(), style="bold", soft_wrap=True)
