"""What a person sees while a playbook runs: a line a play, the task of the moment, failures with what to do."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
QUIET = 20.0  # seconds after which a terminal that cannot redraw gets a line, so that no minute is silent


def plain(text: str) -> str:
    """A program's words without the codes that colour them."""
    return COLOUR.sub("", text)


def clock(seconds: float) -> str:
    """Seconds as a person reads them: `42s`, `3m05s`."""
    return f"{seconds:.0f}s" if seconds < 60 else f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


@dataclass
class Play:
    """One play as it was seen."""

    name: str
    started: float = field(default_factory=time.monotonic)
    changed: int = 0
    tasks: int = 0


class Progress:
    """Follows ansible-runner's events. Use as a context manager; `failures` holds what went wrong.

    `detail` is a file in which a program that a task runs may say, in one line, how far it is."""

    def __init__(self, console: Console, stage: str, detail: Path, *, quietly: bool = False):
        self.console, self.stage, self.detail, self.quietly = console, stage, detail, quietly
        self.play: Play | None = None
        self.failures: list[tuple[str, str, str]] = []
        self.items: dict[str, list[str]] = {}  # of the task, by host: what its failed items said
        self.stats: dict[str, dict[str, int]] = {}
        self.told: dict[str, Any] = {}  # what the playbook said with set_stats
        self.task, self.hosts = "", set[str]()
        self.status: Status | None = None
        self.started = self.spoke = time.monotonic()
        self.stopped = threading.Event()

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.status = self.console.status("starting")
            self.status.start()
        self.ticker = threading.Thread(target=self.tick, daemon=True)
        self.ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end_play()
        self.stopped.set()
        self.ticker.join()
        if self.status:
            self.status.stop()

    def tick(self) -> None:
        while not self.stopped.wait(1.0):
            if self.status:
                self.status.update(escape(self.moment()))
            elif time.monotonic() - self.spoke > QUIET:
                self.say(f"    … {self.moment()}")

    def moment(self) -> str:
        """What is going on right now."""
        hosts = sorted(self.hosts)
        who = ", ".join(hosts[:4]) + (f" and {len(hosts) - 4} more" if len(hosts) > 4 else "")
        if not self.play:
            return f"starting {clock(time.monotonic() - self.started)}"
        what = self.task + (f" [{who}]" if who else "")
        detail = self.detail.read_text(errors="replace").strip() if self.detail.exists() else ""
        since = clock(time.monotonic() - self.play.started)
        return ": ".join(filter(None, (f"{self.play.name} {since}", what, detail)))

    def say(self, text: str, style: str = "") -> None:
        self.spoke = time.monotonic()
        self.console.print(escape(text), style=style, highlight=False, soft_wrap=True)

    def end_play(self) -> None:
        if self.play and self.play.tasks:
            took = clock(time.monotonic() - self.play.started)
            self.say(f"  {self.play.name:<28} {took:>7}  {self.play.changed or 'nothing'} changed")
        self.play = None

    def handle(self, event: dict[str, Any]) -> None:
        """Take one event of ansible-runner."""
        data = event.get("event_data", {})
        match event.get("event"):
            case "playbook_on_play_start":
                self.end_play()
                self.play, self.hosts = Play(data.get("name", "")), set()
            case "playbook_on_task_start":
                self.task, self.hosts, self.items = data.get("task", ""), set(), {}
                self.detail.unlink(missing_ok=True)
            case "runner_on_start":
                self.hosts.add(data.get("host", ""))
            case "runner_on_ok" | "runner_on_skipped":
                self.finished(data)
            case "runner_item_on_failed":
                self.items.setdefault(data.get("host", ""), []).append(str(data.get("res", {}).get("msg")))
            case "runner_on_failed" if not data.get("ignore_errors"):
                self.failed(data)
            case "runner_on_unreachable" if not data.get("ignore_unreachable"):
                self.failed(data)
            case "playbook_on_stats":
                self.stats = {kind: data.get(kind, {}) for kind in ("ok", "changed", "failures", "dark")}
                self.told = data.get("artifact_data") or {}
            case "verbose" if not self.quietly:
                self.resource_lines(event.get("stdout", ""))

    def finished(self, data: dict[str, Any]) -> None:
        self.hosts.discard(data.get("host", ""))
        if self.play:
            self.play.tasks += 1
            self.play.changed += bool(data.get("res", {}).get("changed"))

    def resource_lines(self, text: str) -> None:
        """What yc_stack says of each resource as it is done."""
        for line in text.splitlines():
            if line.startswith("  ") and line.strip():
                self.say("  " + line)

    def failed(self, data: dict[str, Any]) -> None:
        result = data.get("res", {})
        items = "\n".join(self.items.get(data.get("host", ""), ()))
        text = items or result.get("msg") or result.get("stderr") or result.get("stdout") or str(result)
        where = f"{data.get('role')} : " if data.get("role") else ""
        self.hosts.discard(data.get("host", ""))
        if self.play:  # what was done before it failed stays
            self.play.tasks += 1
            self.play.changed += bool(result.get("changed"))
        self.failures.append((data.get("host", ""), where + data.get("task", ""), str(text).strip()))
        self.say(f"  FAILED on {data.get('host')}: {where}{data.get('task')}", "bold red")
        self.say("    " + str(text).strip().replace("\n", "\n    "))
