"""The report of an acceptance: what was done, how long it took, what came of it; no secret, and no id of anybody's cloud."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from stagecraft import __version__
from stagecraft.progress import clock
from stagecraft.stages import ROOT, import_collection

PACKAGES = ("ansible-core", "yandexcloud", "grpcio")
NOTHING = "nothing: the services of the folder listed nothing more, and the folder is gone"
# The cloud's ids and addresses say where somebody's things are; paths, who that is.
HIDDEN = (
    (re.compile(r"\b(?=[a-z]*\d)[a-z0-9]{20}\b"), "<id>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "<address>"),
    (re.compile(r"\bt1\.[\w.-]+|\by[0-3]_[\w-]+|\bAQVN[\w-]+|\bYC[A-Z][\w-]{20,}"), "<secret>"),
)


@dataclass(frozen=True)
class Step:
    """One step: what, how many seconds it took, what came of it."""

    name: str
    seconds: float
    outcome: str


@dataclass
class Report:
    """An acceptance as it is reported. `failure` says why it is none; `left` what could not be taken away."""

    stage: str
    where: str
    endpoint: str
    started: str
    price: str
    steps: list[Step] = field(default_factory=list)
    checks: int = 0
    failure: str = ""
    left: str = ""
    unread: dict[str, str] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return not self.failure and not self.left

    def text(self) -> str:
        """It as Markdown. It ends in one line break."""
        return "\n".join([*self.head(), *self.table(), *self.remarks()]) + "\n"

    def head(self) -> Iterator[str]:
        yield f"# Acceptance of {self.stage}: {'accepted' if self.accepted else 'NOT accepted'}"
        yield ""
        yield "| what | |"
        yield "| --- | --- |"
        yield f"| where | {self.where}, its API at `{self.endpoint}` |"
        yield f"| started | {self.started} |"
        yield f"| commit | `{commit()}` |"
        yield f"| versions | {versions()} |"
        yield f"| price | {self.price} |"
        yield f"| checks passed | {self.checks} |"
        yield f"| left in the cloud | {hidden(self.left) or NOTHING} |"

    def table(self) -> Iterator[str]:
        yield ""
        yield "| step | time | outcome |"
        yield "| --- | ---: | --- |"
        for step in self.steps:
            yield f"| {step.name} | {clock(step.seconds)} | {step.outcome} |"

    def remarks(self) -> Iterator[str]:
        if self.failure:
            yield ""
            yield "Why it is not accepted:"
            yield ""
            yield from (f"    {hidden(line)}" for line in self.failure.splitlines())
        if self.unread:
            yield ""
            yield "What could not be asked before, so that it is not known:"
            yield ""
            yield from (f"- {what}: {hidden(why)}" for what, why in sorted(self.unread.items()))


def hidden(text: str) -> str:
    """A text without ids, addresses, secrets and this person's paths."""
    text = text.replace(str(ROOT), "<checkout>").replace(str(Path.home()), "~")
    for pattern, instead in HIDDEN:
        text = pattern.sub(instead, text)
    return text


def commit() -> str:
    """The commit of the checkout, with `-dirty` where files differ from it."""
    import_collection()
    from ansible_collections.stagecraft.platform.plugins.action.yc_lease import described  # takes half a second

    return str(described(str(ROOT)))


def versions() -> str:
    """Of the command, and of what talks to the cloud."""
    others = [f"{name} {version(name)}" for name in PACKAGES]
    return ", ".join([f"stagecraft {__version__}", *others, f"Python {platform.python_version()}"])
