"""Reference pages of the site, made while it is built from what `ansible-doc` and the commands' own help say.

A hook of MkDocs (https://www.mkdocs.org/user-guide/configuration/#hooks): the pages exist in the built site only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import typer
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a hook is loaded from its file

import rehearsal.cli  # noqa: E402
import stagecraft.cli  # noqa: E402

NAMESPACE = "stagecraft.platform"
KINDS = {
    "module": "modules", "inventory": "inventory", "lookup": "lookups", "filter": "filters", "callback": "callbacks",
    "role": "roles",
}  # fmt: skip
INTRODUCTION = "The [commands](commands.md), and what the collection `stagecraft.platform` has."
MARKUP = (
    (r"\bM\(([\w.]+)\)", lambda found: link(found[1])),
    (r"\b[COVE]\(((?:[^()]|\([^()]*\))*)\)", lambda found: f"`{found[1]}`"),
    (r"\bI\(([^()]*)\)", lambda found: f"*{found[1]}*"),
    (r"\bB\(([^()]*)\)", lambda found: f"**{found[1]}**"),
    (r"\bU\(([^()]*)\)", lambda found: f"<{found[1]}>"),
    (r"\bL\(([^,()]*), *([^()]*)\)", lambda found: f"[{found[1]}]({found[2]})"),
)


def on_files(files: Files, config: Any) -> Files:
    """Add the reference to the site's pages."""
    for path, text in pages(dump()).items():
        files.append(File.generated(config, path, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def dump() -> dict[str, Any]:
    """Everything that `ansible-doc` knows of the collection."""
    command = [Path(sys.executable).parent / "ansible-doc", "--metadata-dump", "--no-fail-on-errors", NAMESPACE]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return json.loads(done.stdout)["all"]


def pages(known: dict[str, Any]) -> dict[str, str]:
    """Markdown by path."""
    made, index = {"reference/commands.md": commands()}, []
    for kind, folder in KINDS.items():
        rows = []
        for full, entry in sorted(known.get(kind, {}).items()):
            name = full.removeprefix(f"{NAMESPACE}.")
            summary, text = role(name, entry) if kind == "role" else plugin(name, entry)
            made[f"reference/{folder}/{name}.md"] = text
            rows.append(f"| [{name}]({folder}/{name}.md) | {summary} |")
        if rows:
            index += [f"## {folder.capitalize()}", "", "| name | does |", "| --- | --- |", *rows, ""]
    made["reference/index.md"] = "\n".join(["# Reference", "", INTRODUCTION, "", *index])
    return made


def plugin(name: str, entry: dict[str, Any]) -> tuple[str, str]:
    """A module's or plugin's summary and page."""
    doc = entry["doc"]
    lines = [f"# {name}", "", *paragraphs(doc["description"]), "## Options", "", *options(doc.get("options", {}))]
    if doc.get("notes"):
        lines += ["", "## Notes", "", *paragraphs(doc["notes"])]
    if entry.get("examples"):
        lines += ["", "## Examples", "", "```yaml", entry["examples"].strip(), "```"]
    if entry.get("return"):
        lines += ["", "## Returns", "", *options(entry["return"])]
    return inline(doc["short_description"]), "\n".join(lines) + "\n"


def role(name: str, entry: dict[str, Any]) -> tuple[str, str]:
    """A role's summary and page, from its argument specs."""
    main = entry["entry_points"]["main"]
    lines = [f"# Role {name}", "", *paragraphs(main.get("description", [])), "## Variables", ""]
    return inline(main["short_description"]), "\n".join([*lines, *options(main.get("options", {}))]) + "\n"


def options(declared: dict[str, Any], depth: int = 0) -> list[str]:
    """A list of options or returned values, those inside others indented under them."""
    lines = []
    for name, option in sorted(declared.items(), key=lambda item: (not item[1].get("required"), item[0])):
        kind = option.get("type", "str") + (f" of {option['elements']}" if option.get("elements") else "")
        facts = [kind, *(["required"] if option.get("required") else [])]
        if option.get("choices"):
            facts.append("one of " + ", ".join(f"`{choice}`" for choice in option["choices"]))
        if option.get("default") not in (None, "", [], {}):
            facts.append(
                f"default `{option['default'] if isinstance(option['default'], str) else json.dumps(option['default'])}`"
            )
        lines.append(
            f"{'    ' * depth}- **{name}** ({', '.join(facts)}): {inline(text(option.get('description', '')))}"
        )
        inner = option.get("suboptions") or option.get("options") or option.get("contains") or {}
        lines += options(inner, depth + 1)
    return lines or ["None."] * (depth == 0)


def text(description: str | list[str]) -> str:
    return description if isinstance(description, str) else " ".join(description)


def paragraphs(description: str | list[str]) -> list[str]:
    """Each line a paragraph."""
    return [
        line for part in ([description] if isinstance(description, str) else description) for line in (inline(part), "")
    ]


def inline(said: str) -> str:
    """Ansible's markup (docs.ansible.com, `ansible_markup`) as Markdown."""
    for pattern, replace in MARKUP:
        said = re.sub(pattern, replace, said)
    return " ".join(said.replace("|", "\\|").split())


def link(full: str) -> str:
    """A module of ours is a link to its page, relative to a page of the reference."""
    name = full.removeprefix(f"{NAMESPACE}.")
    return f"[{name}](../modules/{name}.md)" if name != full else f"`{full}`"


def commands() -> str:
    """The commands' own help."""
    lines = [
        "# Commands",
        "",
        "Targets of the Makefile are aliases of `stagecraft`; `make help` lists them.",
        "",
    ]
    for name, app in (("stagecraft", stagecraft.cli.app), ("rehearsal", rehearsal.cli.app)):
        group = typer.main.get_command(app)
        above = click.Context(group, info_name=name, terminal_width=100)
        lines += [f"## {name}", "", "```text", group.get_help(above), "```", ""]
        for command in group.list_commands(above):
            said = group.get_command(above, command).get_help(click.Context(group.commands[command], above, command))
            lines += [f"### {name} {command}", "", "```text", said, "```", ""]
    return "\n".join(lines)
