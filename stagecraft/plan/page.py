"""A plan as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape as html
from pathlib import Path

from rehearsal import files
from stagecraft.plan import price, words
from stagecraft.plan.model import Plan

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
code { font-size: .9em; } svg { max-width: 100%; height: auto; background: #fff; }
ul { list-style: none; padding-left: 0; } li { margin: .5rem 0; overflow-wrap: anywhere; }
ul ul { margin: .2rem 0 .2rem .4rem; padding-left: .8rem; border-left: 2px solid #8886; } ul ul li { margin: 0; }
.mark { display: inline-block; min-width: 6rem; font-weight: 600; }
.create { color: light-dark(#1a7f37, #3fb950); } .change { color: light-dark(#9a6700, #d29922); }
.replace { color: light-dark(#8250df, #a371f7); } .delete { color: light-dark(#cf222e, #f85149); }
"""


def escape(text: str) -> str:
    return html(words.visible(text))


def write(plan: Plan, path: Path, picture: str = "") -> None:
    """Write the page. `picture` is an SVG of the stage, shown above the changes. Raises OSError."""
    files.write(path, written(plan, picture), mode=0o644)


def written(plan: Plan, picture: str = "") -> str:
    return "\n".join(parts(plan, picture))


def parts(plan: Plan, picture: str) -> Iterator[str]:
    origin, title = plan.origin, f"Plan of {escape(plan.origin.stage)}"
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
    yield f"<h1>{title}</h1><p><strong>{escape(plan.closing())}</strong></p>"
    yield f"<p>{escape(f'{origin.where}, folder {origin.folder}, commit {origin.commit[:12]}')}</p>"
    yield from (f"<p>{escape(line)}</p>" for line in words.remarks(plan))
    yield picture
    if priced := price.picture(plan.price):
        yield f"<h2>Price a month</h2>{priced}"
    if plan.changes or plan.undeclared:
        yield "<h2>Cloud</h2><ul>"
        yield from cloud(plan)
        yield "</ul>"
    if plan.hosts:
        yield "<h2>Machines</h2><ul>"
        for host in plan.hosts:
            yield f"<li><strong>{escape(words.called(host))}</strong>{listed(words.on_host(host))}</li>"
        yield "</ul>"
    yield "</body></html>\n"


def cloud(plan: Plan) -> Iterator[str]:
    for change in plan.changes:
        why = f": {escape(change.why)}" if change.why else ""
        yield f'<li><span class="mark {change.action}">{change.action}</span> <code>{escape(change.item)}</code>{why}'
        yield listed(words.details(change)) + "</li>"
    yield from (
        f'<li><span class="mark">undeclared</span> <code>{escape(item)}</code></li>' for item in plan.undeclared
    )


def listed(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li><code>{escape(line)}</code></li>' for line in lines)}</ul>" if lines else ""
