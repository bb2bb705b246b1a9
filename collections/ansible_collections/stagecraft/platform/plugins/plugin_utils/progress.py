"""What a person sees of a stack while it is applied: a line for each resource that changed or failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ansible.utils.display import Display

Hear = Callable[[dict[str, Any]], None]
display = Display()

WOULD = {"created": "to create", "deleted": "to delete", "replaced": "to replace", "updated": "to update"}


def hearing(on_event: Hear | None = None) -> Hear:
    """Shows what a job says while it waits for the cloud; the other events go on to `on_event`."""

    def hear(event: dict[str, Any]) -> None:
        if "notice" in event:
            display.display(f"  {event['notice']}", color="yellow")
        elif on_event:
            on_event(event)

    return hear


def verb(row: dict[str, Any]) -> str:
    """What happened to a resource: created, updated, replaced, deleted, failed, or unchanged."""
    if "error" in row:
        return "failed"
    if not row["changed"]:
        return "unchanged"
    before, after = row["diff"]["before"], row["diff"]["after"]
    if after == {"state": "absent"}:
        return "deleted"
    if row.get("change", {}).get("replaces"):
        return "replaced"
    return "updated" if before else "created"


def line(row: dict[str, Any], check: bool) -> str:
    """One line, or nothing where nothing changed."""
    what = verb(row)
    if what == "unchanged":
        return ""
    seconds = "" if check else f"  {row['seconds']:.1f}s"
    changed = f" ({', '.join(row['diff']['after'])})" if what in ("updated", "replaced") else ""
    return f"  {WOULD.get(what, what) if check else what}  {row['item']}{changed}{seconds}"


def summary(rows: list[dict[str, Any]], check: bool) -> str:
    """Counts of what happened, most of all of what did not have to."""
    counts = Counter(verb(row) for row in rows)
    order = ("created", "updated", "replaced", "deleted", "failed", "unchanged")
    said = [f"{WOULD.get(what, what) if check else what} {counts[what]}" for what in order if counts[what]]
    return "  " + (", ".join(said) or "nothing is declared")
