"""Find the line of a template that fails to render.

Ansible reports an undefined value when the whole template has been rendered, without a line. So the template is rendered
again, one line more each time, with the blocks that are open at the cut closed: the first cut that fails ends in the line.
"""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import Environment, TemplateSyntaxError

BLOCKS = {"if", "for", "macro", "call", "filter", "set", "block", "with"}


def failing_line(text: str, render: Callable[[str], object]) -> int:
    """The number of the line at which `render` fails, the last one when no cut shows it."""
    lines = text.splitlines(keepends=True)
    environment = Environment(autoescape=False)  # noqa: S701 - it only parses
    for count in range(1, len(lines)):
        cut = "".join(lines[:count])
        try:
            cut += _closers(environment, cut)
            environment.parse(cut)
        except TemplateSyntaxError:
            continue  # in the middle of a statement
        try:
            render(cut)
        except Exception:
            return count
    return len(lines)


def _closers(environment: Environment, text: str) -> str:
    """What closes the blocks that `text` leaves open."""
    opened: list[str] = []
    statement: list[str] | None = None
    for _, kind, value in environment.lex(text):
        if kind == "block_begin":
            statement = []
        elif kind == "block_end" and statement:
            tag = statement[0]
            if tag.startswith("end") and opened:
                opened.pop()
            elif tag in BLOCKS and not (tag == "set" and "=" in statement):
                opened.append(tag)
            statement = None
        elif statement is not None and kind != "whitespace":
            statement.append(value)
    return "".join(f"{{% end{tag} %}}" for tag in reversed(opened))
