"""`stagecraft accept`: whether an account can have a stage, what it costs, the steps, and the signed report."""

from __future__ import annotations

import os
import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rehearsal import files, places
from stagecraft import cloud_jobs, rendered
from stagecraft.accept import needs, price, signing
from stagecraft.accept.report import Report
from stagecraft.confirmation import confirmed
from stagecraft.cost.budget import amount
from stagecraft.declarations import declared
from stagecraft.lock import alone
from stagecraft.options import At, Confirm, StageName
from stagecraft.stages import ROOT, Refused, Stage, shown
from stagecraft.target import Target, target_of

PREFIX = "stagecraft-accept"
HOURS, CAP = "2", "5"
API = "api.cloud.yandex.net"


def command(
    name: StageName = "",
    where: At = None,
    cloud_id: Annotated[
        str, typer.Option("--cloud-id", envvar="YC_CLOUD_ID", help="The cloud in which a folder is made.")
    ] = "",
    hours: Annotated[str, typer.Option(help="How long building and checking may take.")] = HOURS,
    cap: Annotated[str, typer.Option(help="Dollars above which nothing is begun.")] = CAP,
    confirm: Confirm = "",
    key: Annotated[Path | None, typer.Option(help="The SSH key to sign with; by default your own.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The report; by default in build/accept.")] = None,
    verify: Annotated[Path | None, typer.Option("--verify", help="Check the signature of this report instead.")] = None,
    signers: Annotated[
        Path | None, typer.Option(help="With --verify: allowed signers, as ssh-keygen(1) has them.")
    ] = None,
) -> None:
    """Build a stage in a folder made for it, check it, destroy it, prove that nothing is left, and sign a report of it."""
    from stagecraft.accept.run import Acceptance  # here, because it would make every other command start later

    console = Console(highlight=False)
    if verify:
        console.print(f"{verify}: {signing.verified(verify, signers)}", soft_wrap=True, markup=False)
        return
    chosen, limit, most = declared(name), positive("--hours", hours), amount("--cap", cap)
    folder = f"{PREFIX}-{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    file, by = writable(to or ROOT / "build" / "accept" / f"{folder}.md"), signing.key(key)
    price_told = price.capped(chosen, limit, most)
    target = target_of(chosen, where)
    cloud = target.variables.get("YC_CLOUD_ID") or named(chosen, cloud_id)
    os.environ["STAGECRAFT_STATE"] = str(places.state() / "accept")  # what is kept of the stage itself stays as it is
    with alone(chosen, "accept"):
        console.print(f"{price_told}; the cap is {most:f}", soft_wrap=True, markup=False)
        unread = surveyed(target, cloud, console)
        confirmed(target, confirm, f"makes a folder, builds {name} in it, and deletes both; {price_told}")
        report = begun(target, price_told, unread)
        Acceptance(target, cloud, folder, float(limit) * 3600, console, report).run()
    write(report, file, by, console)
    closing(report, folder, console)


def writable(file: Path) -> Path:
    """The file, in a folder that is there. Raises Refused where no report can be written: that must not be learnt last."""
    files.private_folder(file.parent)
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise Refused(f"{file} cannot be written: --to names the file that the report goes to. Nothing was touched.", 2)
    return file


def write(report: Report, file: Path, by: Path, console: Console) -> None:
    """The report with its signature, or where the key is of no use any more without it, and why."""
    text, unsigned = report.text(), ""
    try:
        text = signing.signed(text, by)
    except Refused as refused:
        unsigned = f", NOT signed: {refused}"
    files.write(file, text, 0o644)
    console.print(f"report: {shown(file)}{unsigned}", soft_wrap=True, markup=False)


def positive(option: str, text: str) -> Decimal:
    """A number above 0. Raises Refused."""
    found = amount(option, text)
    if not found:
        raise Refused(f"{option} is {text}: there is no time to build anything in.", 2)
    return found


def named(chosen: Stage, cloud: str) -> str:
    """The id of the cloud that a person named. Raises Refused where that is nothing."""
    if not cloud:
        raise Refused(
            "In which cloud? Say --cloud-id <id>, or set YC_CLOUD_ID: `yc resource-manager cloud list` shows yours."
            f" In it a folder is made for {chosen.name}, and deleted again. Nothing was touched.",
            2,
        )
    return cloud


def surveyed(target: Target, cloud: str, console: Console) -> dict[str, str]:
    """What could not be asked of rights and quotas, with why; the rest is as it should be. Nothing is changed.

    Raises Refused where the account lacks a role, or a quota is too small."""
    chosen, variables = target.stage, target.environment()
    overlay = Path(path) if (path := variables.get("STAGECRAFT_OVERLAY")) else None
    wanted = needs.wanted(chosen, rendered.resources(chosen, target.variables | {"YC_FOLDER_ID": PREFIX}, overlay))
    with target.inside():
        told: dict[str, Any] = cloud_jobs.done("survey", variables, console, cloud=cloud, quotas=list(wanted))
    from stagecraft.accept import rights  # here, because every other command would start later

    unread: dict[str, str] = told["unread"]
    rights.refuse_without(cloud, told["account"], told["bindings"], unread)
    needs.refuse_what_does_not_fit(chosen, cloud, wanted, told["quotas"])
    console.print(f"{len(told['quotas'])} of {len(wanted)} quotas were asked, and {chosen.name} fits into them")
    for what, why in sorted(unread.items()):
        console.print(f"  not known: {what}: {why}", soft_wrap=True, markup=False)
    for left in told["folders"]:
        if left.startswith(f"{PREFIX}-{chosen.name}-"):
            console.print(f"  an acceptance before left the folder {left}, or is going on", soft_wrap=True)
    return unread


def begun(target: Target, told: str, unread: dict[str, str]) -> Report:
    """A report in which nothing has been done yet."""
    endpoint = target.environment().get("YC_ENDPOINT") or API
    where = "a rehearsal: an emulated cloud" if target.rehearsed else target.where
    started = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return Report(target.stage.name, where, endpoint, started, told, unread=unread)


def closing(report: Report, folder: str, console: Console) -> None:
    """Say what came of it. Raises Refused where it is not accepted, with what is left and how to remove it."""
    seconds = sum(step.seconds for step in report.steps)
    if report.accepted:
        console.print(
            f"{report.stage}: accepted in {seconds:.0f}s, {report.checks} checks passed, 0 resources left,"
            " its folder is gone",
            soft_wrap=True,
        )
        return
    lines = [f"{report.stage}: not accepted. {report.failure}"]
    lines.append("  everything that was made is gone again" if not report.left else f"  LEFT: {report.left}")
    if report.left:
        lines += [
            "  see what is in it, and take that down: with YC_FOLDER_ID=<its id>,"
            f" make destroy STAGE={report.stage} ARGS='--where cloud --confirm {report.stage}'",
            f"  then delete it: yc resource-manager folder delete {folder}",
        ]
    raise Refused("\n".join(lines))
