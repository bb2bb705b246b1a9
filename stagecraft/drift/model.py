"""Drift: what differs from what was applied, in the cloud and on machines, as playbooks/drift.yml has found it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

CLOUD = "cloud"
REFUSED = "PERMISSION_DENIED"


@dataclass(frozen=True)
class Difference:
    """One thing, or one field of it, that is not as it was applied; `what` is changed, gone or new."""

    where: str  # the cloud, or a machine
    kind: str
    name: str
    what: str
    field: str = ""
    old: Any = None  # as it was applied
    new: Any = None  # as it is
    since: str = ""  # UTC, where it is known
    by: str = ""  # the id of whoever did it, where it is known
    left: bool = False  # the next run leaves it so, because nothing declares it


@dataclass(frozen=True)
class Drift:
    """Everything that differs, and against what it was compared."""

    stage: str
    applied: str  # when the last run ended
    commit: str  # from which it had applied
    edited: bool  # the checkout is at another commit by now
    differences: tuple[Difference, ...] = ()
    ignored: int = 0
    unknown: tuple[str, ...] = ()  # machines that were never recorded or do not answer, services that may not be asked

    def closing(self) -> str:
        """The last line of the report."""
        count = len(self.differences)
        said = f"{count} {'differs' if count == 1 else 'differ'} from what was applied at {self.applied}"
        return f"{self.stage}: {said}, {self.ignored} ignored"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def of_playbook(stage: str, told: dict[str, Any], commit: str) -> Drift:
    """The drift that a run of the playbook tells with set_stats; `commit` is that of the checkout now."""
    rows = [Difference(CLOUD, **row) for row in told["cloud"]]
    unknown = []
    for host, found in sorted(told.get("machines", {}).items()):
        if found.get("recorded"):
            rows += [Difference(host, **row, left=row["what"] == "new") for row in found["drift"]]
        else:
            unknown.append(f"{host}: {found.get('msg') or 'nothing was recorded of it yet; the next apply does'}")
    refused = sorted(kind for kind, why in told.get("not_asked", {}).items() if why == REFUSED)
    unknown += [f"{kind}: its service may not be asked" for kind in refused]
    then = str(told["by"].get("commit", ""))
    return Drift(
        stage,
        told["applied"],
        then,
        bool(then) and then != commit,
        tuple(rows),
        told["ignored"] + sum(found.get("ignored", 0) for found in told.get("machines", {}).values()),
        tuple(unknown),
    )
