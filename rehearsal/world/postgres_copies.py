"""Copies of a PostgreSQL server's data: backups of it, servers that begin as one, servers that follow another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rehearsal.places import Place
from rehearsal.world import postgres_image, shell
from rehearsal.world.postgres_host import CONFINEMENT, PORT, SOCKET, Host, own
from rehearsal.world.postgres_image import UID

TARGET = "/backup"
STANDBY = "standby.signal"  # a server that finds this file among its data follows another one
BACKUP_LIMIT = 600  # seconds


def back_up(place: Place, host: Host, target: Path) -> None:
    """Copy a running server's data as they are now; under another name until the copy is whole."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    own(fresh)
    shell.podman(
        *("run", "--rm", "--network=none", f"--label={place.label}", *CONFINEMENT),
        *(f"--volume={host.socket}:{SOCKET}", f"--volume={fresh}:{TARGET}", postgres_image.existing()),
        *("pg_basebackup", f"--host={SOCKET}", f"--port={PORT}", "--username=postgres", f"--pgdata={TARGET}"),
        *("--wal-method=stream", "--checkpoint=fast", "--no-password"),
        timeout=BACKUP_LIMIT,
    )
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def begin_from(host: Host, backup: Path) -> None:
    """Give a server that has no data those of a backup; the backup stays."""
    if host.data.exists():
        return
    host.data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = host.data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shell.run("cp", "--archive", "--reflink=auto", backup, fresh)
    fresh.rename(host.data)


def follow(place: Place, host: Host, leader: Host) -> None:
    """Make a server's data a copy that follows the leader; one that led before, or followed another one, begins anew."""
    mark = host.data / STANDBY
    if mark.exists() and mark.read_text() == leader.name:
        return
    host.stop()
    shutil.rmtree(host.data, ignore_errors=True)
    host.data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = host.data.with_name("copy")
    back_up(place, leader, fresh)
    (fresh / STANDBY).write_text(leader.name)
    os.chown(fresh / STANDBY, UID, UID)
    fresh.rename(host.data)


def lead(host: Host, others: list[Host]) -> None:
    """Have a follower take writes. The others end first, and cleanly: so it has all that they had."""
    for other in others:
        other.stop()
    with host.connect() as connection:
        if connection.execute("SELECT pg_is_in_recovery()").fetchone()[0]:
            connection.execute("SELECT pg_promote()")
