"""`stagecraft export`: declarations of a folder that somebody built, to adopt it as a stage."""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from rehearsal import environment, files
from stagecraft import cloud_jobs, federation
from stagecraft.delivery.files import Dumper as Plain
from stagecraft.schema import inventories
from stagecraft.stages import ROOT, Refused, names, stage
from stagecraft.target import CREDENTIALS, rehearsal_of

FILE = "resources.yml"
ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*")
JINJA = re.compile(r"{[{%#]")
WIDTH = 120
NAMES = 12  # of things in one message
GUIDE = "docs/adopt.md"
# What a service answered that would not list -> what that may mean
REASONS = {
    "no endpoint": "the cloud has no such service",
    "UNIMPLEMENTED": "the cloud has no such service (UNIMPLEMENTED)",
    "PERMISSION_DENIED": "the account may not see them, or the service was never enabled (PERMISSION_DENIED)",
    "FAILED_PRECONDITION": "the service is not enabled for the folder (FAILED_PRECONDITION)",
}


class Dumper(Plain):
    """Text that Ansible would take for a template is marked, so that it stays what the cloud has."""


def represented(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    tag = "!unsafe" if JINJA.search(text) else "tag:yaml.org,2002:str"
    return dumper.represent_scalar(tag, text, style="|" if "\n" in text else None)


Dumper.add_representer(str, represented)


@dataclass(frozen=True)
class Export:
    """What a folder holds, as the collection's job `export` answers."""

    folder: str
    resources: dict[str, Any]
    to_provide: list[list[str]]
    unsaid: list[list[str]]
    by_id: list[list[str]]
    not_asked: dict[str, str]

    @property
    def count(self) -> int:
        return sum(len(things) for things in self.resources.values())

    @property
    def reasons(self) -> list[tuple[str, list[str]]]:
        """Why kinds were not listed, and for each reason which those are."""
        found: dict[str, list[str]] = {}
        for kind, code in sorted(self.not_asked.items()):
            found.setdefault(REASONS.get(code, code), []).append(kind)
        return sorted(found.items())

    def text(self) -> str:
        """What it does not say, then what it declares. It ends in one line break."""
        chapters = (
            ("Secret values are not exported; to make these anew, provide", self.to_provide),
            ("Not declared, because no option says it", self.unsaid),
            ("Referred to by id, because nothing in this folder has a name for it", self.by_id),
        )
        lines = [f"The folder {self.folder} as declarations. Applied to it, they change nothing ({GUIDE})."]
        for title, rows in chapters:
            if rows:
                lines += ["", f"{title}:", *grouped(rows)]
        if self.not_asked:
            lines += ["", "Kinds that the cloud would not list, so that they may be there:"]
            lines += [line for why, kinds in self.reasons for line in wrapped(f"- {why}: {', '.join(kinds)}")]
        head = "".join(f"# {line}".rstrip() + "\n" for line in lines)
        body = yaml.dump(
            {"stage_resources": self.resources}, Dumper=Dumper, sort_keys=False, width=WIDTH, allow_unicode=True,
            default_flow_style=None,
        )  # fmt: skip
        return f"{head}---\n{body}"


def grouped(rows: Iterable[list[str]]) -> list[str]:
    """Rows of kind, name and text as lines, with the names of all of a kind of which the same is said."""
    together: dict[tuple[str, str], list[str]] = {}
    for kind, name, text in rows:
        together.setdefault((kind, " ".join(text.split())), []).append(name)
    return [line for (kind, text), whom in together.items() for line in wrapped(f"- {kind} {', '.join(whom)}: {text}")]


def wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)


def modeline(file: Path) -> str:
    """The line by which editors check a file, where it lies in the checkout that has the schema; else nothing."""
    whole = file.resolve()
    return f"{inventories.modeline(whole, inventories.VARIABLES)}\n" if whole.is_relative_to(ROOT) else ""


def command(
    folder: Annotated[str, typer.Argument(help="The folder's id.", show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Where the file goes; by default build/export/<folder>.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a place that is not empty.")] = False,
) -> None:
    """Write declarations of a folder that exists: applied to it, they change nothing."""
    console = Console(highlight=False)
    if not ID.fullmatch(folder):
        raise Refused(f"{folder!r} is no id of a folder: `yc resource-manager folder list` shows them.", 2)
    place = to or ROOT / "build" / "export" / folder
    refuse_taken(place, force)
    found = asked(folder, console)
    if not found.count:
        others = ", ".join(f"{kind} {name}" for kind, name, _ in found.unsaid[:NAMES])
        rest = f" (what is there cannot be declared: {others})" if others else ""
        raise Refused(f"There is nothing to declare in the folder {folder}{rest}. Nothing was written.", 2)
    file = place / FILE
    files.write(file, modeline(file) + found.text(), 0o600)
    for count, what in ((len(found.to_provide), "secret values to provide"), (len(found.unsaid), "not expressed")):
        if count:
            console.print(f"  {count} {what}: named at the top of the file", soft_wrap=True)
    for why, kinds in found.reasons:
        console.print(f"  {len(kinds)} kinds not listed: {why}", soft_wrap=True, markup=False)
    console.print(f"{folder}: {found.count} declared in {file}", soft_wrap=True, markup=False)


def refuse_taken(place: Path, force: bool) -> None:
    """Raises Refused where something is there already, before the cloud is asked."""
    if place.exists() and not place.is_dir():
        raise Refused(f"{place} is a file: --to names a folder, in which {FILE} is written.", 2)
    if not force and place.is_dir() and any(place.iterdir()):
        raise Refused(f"{place} is not empty: say --to <another folder>, or --force to write {FILE} into it.", 2)


def asked(folder: str, console: Console) -> Export:
    """What the cloud says of a folder. Raises Refused with its own words where it would not."""
    variables, inside = reach(folder)
    try:
        with inside:
            return Export(folder, **cloud_jobs.done("export", variables | {"YC_FOLDER_ID": folder}, console))
    except Refused as refused:
        raise Refused(f"{refused}. Nothing was written.") from None


def reach(folder: str) -> tuple[dict[str, str], contextlib.AbstractContextManager[None]]:
    """The variables by which the cloud that has the folder is reached, and the network to be in: a rehearsal's, where the
    folder is of one that is up. Raises Refused where there are no credentials."""
    for name in names():
        if environment.is_up(name) and (target := rehearsal_of(stage(name))).variables.get("YC_FOLDER_ID") == folder:
            return target.environment(), target.inside()
    if not any(os.environ.get(name) for name in CREDENTIALS):
        if not (token := federation.credentials()):
            raise Refused(
                f"No credentials are set, and no rehearsal has the folder {folder}: set YC_SERVICE_ACCOUNT_KEY_FILE,"
                " YC_IAM_TOKEN or YC_TOKEN of whoever may see all of it (the role viewer on the folder)."
            )
        return {**os.environ, **token}, contextlib.nullcontext()
    return dict(os.environ), contextlib.nullcontext()
