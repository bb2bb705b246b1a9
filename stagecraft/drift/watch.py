"""A systemd timer on this controller that looks for drift again and again, and tells the stage's monitoring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rehearsal import files, places
from stagecraft.stages import ROOT, Refused
from stagecraft.target import CREDENTIALS, Target

OFF = "off"
EVERY = re.compile(r"([1-9]\d{0,3})(min|h)")
LONGEST = 12 * 60  # minutes: DriftUnknown fires after a day
BOOTED = Path("/run/systemd/system")
PASSING = [name for name in CREDENTIALS if not name.endswith("_FILE")]  # they end before a timer does
SYSTEM = Path("/etc/systemd/system")
SERVICE = """\
# Written by `stagecraft drift {stage} --watch`; `--watch off` takes it away.
[Unit]
Description=Look for drift of the stage {stage}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={root}
EnvironmentFile={environment}
ExecStart={python} -m stagecraft drift {stage} --export --where {where}
# 2 says that something differs, which the alert says, too.
SuccessExitStatus=2
TimeoutStartSec=30min
NoNewPrivileges={confined}
ProtectSystem={protection}
"""
TIMER = """\
# Written by `stagecraft drift {stage} --watch`; `--watch off` takes it away.
[Unit]
Description=Look for drift of the stage {stage} every {every}

[Timer]
OnActiveSec=1min
OnUnitActiveSec={every}
RandomizedDelaySec=1min

[Install]
WantedBy=timers.target
"""


def possible(target: Target, every: str) -> None:
    """Raises Refused where no timer could look so often, here and with these credentials."""
    said = EVERY.fullmatch(every)
    if every != OFF and (said is None or int(said[1]) * (60 if said[2] == "h" else 1) > LONGEST):
        raise Refused(f"--watch {every}: say how often, such as 30min or 6h, at most 12h; or off.")
    if not shutil.which("systemctl") or not BOOTED.exists():
        raise Refused(
            "This machine has no systemd to watch by. Let your scheduler run"
            f" `stagecraft drift {target.stage.name} --export`, whose exit code is 2 where something differs."
        )
    if every != OFF:
        variables(target)


def watch(target: Target, every: str) -> str:
    """Write and start the timer, or with `off` end and remove it; what was done, in a line. Raises Refused."""
    possible(target, every)
    name, folder, control = unit(target), unit_folder(), systemctl()
    paths = {kind: folder / f"{name}.{kind}" for kind in ("service", "timer")}
    kept = files.private_folder(target.folder) / "watch.env"
    if every == OFF:
        done(control, "disable", "--now", f"{name}.timer", missing_is_fine=not paths["timer"].exists())
        for path in (*paths.values(), kept):
            path.unlink(missing_ok=True)
        done(control, "daemon-reload")
        return f"{target.stage.name}: no longer watched"
    files.write(kept, "".join(f"{key}={value}\n" for key, value in sorted(variables(target).items())), 0o600)
    for kind, text in written(target, every, kept).items():
        files.write(paths[kind], text, 0o644)
    done(control, "daemon-reload")
    done(control, "enable", "--now", f"{name}.timer")
    lingers = "" if os.geteuid() == 0 else " while you are logged in; always with: loginctl enable-linger"
    return f"{target.stage.name}: watched every {every} by {name}.timer{lingers}"


def unit(target: Target) -> str:
    return f"stagecraft-drift-{target.stage.name}"


def unit_folder() -> Path:
    """Root's timers are the system's; another person's are their own."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    return SYSTEM if os.geteuid() == 0 else own


def systemctl() -> list[str]:
    return ["systemctl"] if os.geteuid() == 0 else ["systemctl", "--user"]


def written(target: Target, every: str, environment: Path) -> dict[str, str]:
    """The two units. A rehearsal's network is entered by root only, who may not be confined then."""
    told = {
        "stage": target.stage.name,
        "root": ROOT,
        "python": sys.executable,
        "environment": environment,
        "every": every,
        "where": "rehearsal" if target.rehearsed else "cloud",
        "confined": "no" if target.rehearsed else "yes",
        "protection": "no" if target.rehearsed else "full",
    }
    return {"service": SERVICE.format(**told), "timer": TIMER.format(**told)}


def variables(target: Target) -> dict[str, str]:
    """What the timer needs of this environment. Raises Refused for credentials that would end before it does."""
    given = {n: v for n, v in os.environ.items() if n.startswith(("YC_", "STAGECRAFT_")) and n != "STAGECRAFT_STATE"}
    if not target.rehearsed and (passing := [name for name in PASSING if given.get(name)]):
        raise Refused(
            f"{passing[0]} ends within hours, and a timer goes on: watch with YC_SERVICE_ACCOUNT_KEY_FILE, or on a"
            " machine whose own service account may look (--where cloud without credentials)."
        )
    for name in [name for name in given if name.endswith("_FILE")]:
        given[name] = str(Path(given[name]).absolute())
    return given | {"STAGECRAFT_STATE": str(places.state()), "HOME": str(Path.home()), "PATH": os.environ["PATH"]}


def done(control: list[str], *words: str, missing_is_fine: bool = False) -> None:
    result = subprocess.run([*control, *words], capture_output=True, text=True, check=False)
    if result.returncode and not missing_is_fine:
        raise Refused(f"{' '.join([*control, *words])}: {result.stderr.strip()}")
