"""The file of a plan, from which exactly that plan is applied, or nothing where the world has moved since."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from rehearsal import files
from stagecraft.plan import make, model, words
from stagecraft.stages import Refused
from stagecraft.target import Target

SHOWN = 10  # differences in one message


def write(plan: model.Plan, path: Path) -> None:
    """Keep a plan, readable by its owner only."""
    files.write(path, json.dumps(plan.to_json(), indent=2, default=str) + "\n")


def read(path: Path) -> model.Plan:
    """The plan in a file. Raises Refused where it is not there, or is none."""
    try:
        return model.read(json.loads(path.read_text()))
    except FileNotFoundError:
        raise Refused(f"There is no plan {path}. Make one: stagecraft plan <stage> --out {path}", 2) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, ValueError) else f"{error} is missing or wrong"
        raise Refused(
            f"{path} is no plan, or was changed after it was made ({why}). Make it anew with --out. Nothing was touched.",
            2,
        ) from None


def applicable(path: Path, variables: Mapping[str, object], *, alone: bool) -> model.Plan:
    """The plan in a file that is to be applied as it is. Raises Refused where more is said than that."""
    if variables or not alone:
        raise Refused(
            "--plan applies what was planned, its variables too: it goes with none of -e, --check and --cloud.", 2
        )
    return read(path)


def compare(plan: model.Plan, now: model.Origin) -> None:
    """Raises Refused where a plan is of another stage, place, commit or declarations than what would be applied."""
    then, name = plan.origin, now.stage
    reasons = {
        f"it is a plan of the stage {then.stage}, and this is {name}": then.stage != name,
        f"it is a plan for {then.where}, folder {then.folder}, and this is {now.where}, folder {now.folder}": (
            (then.where, then.folder) != (now.where, now.folder)
        ),
        f"it was made at the commit {then.commit[:12]}, and the checkout is at {now.commit[:12]}": (
            then.commit != now.commit
        ),
        "the declarations were edited after it was made": then.declarations != now.declarations,
    }
    for why in [why for why, wrong in reasons.items() if wrong]:
        raise Refused(f"The plan is not applied: {why}. Make it anew: {again(plan, name)}. Nothing was touched.")


def still_true(plan: model.Plan, target: Target, console: Console) -> tuple[dict[str, object], str]:
    """Plan once more; returns the variables and options with which it is applied.

    Raises Refused where the two differ: the world has moved, or code that is not committed."""
    compare(plan, make.origin(target, plan.origin.variables, cloud_only=plan.origin.cloud_only))
    now = make.make(plan.origin, target, console)
    if now.digest() == plan.digest():
        return plan.origin.variables, make.limit(plan.origin)
    lines = differences(plan, now)
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    said = "\n".join(f"  {words.visible(line)}" for line in [*lines[:SHOWN], *more])
    name = target.stage.name
    raise Refused(
        f"The plan is not applied: what there is has changed since it was made. Nothing was touched.\n{said}\n"
        f"  look at it anew: {again(plan, name)}"
    )


def differences(then: model.Plan, now: model.Plan) -> list[str]:
    """What one plan says and the other does not, a line each."""
    old = {change.item: change for change in then.changes} | {host.name: host for host in then.hosts}
    new = {change.item: change for change in now.changes} | {host.name: host for host in now.hosts}
    lines = [f"{name}: nothing is left to do" for name in old if name not in new]
    lines += [f"{name}: was not in the plan" for name in new if name not in old]
    return lines + [f"{name}: something else is to be done" for name in old if name in new and old[name] != new[name]]


def again(plan: model.Plan, name: str) -> str:
    told = "".join(f" -e {shlex.quote(f'{key}={value}')}" for key, value in plan.origin.variables.items())
    how = " --cloud" if plan.origin.cloud_only else " --thorough" if plan.origin.thorough else ""
    return f"stagecraft plan {name}{how}{told} --out FILE"
