"""One host of a managed PostgreSQL cluster: a container with the server, its folder, and a way in for the cloud."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from rehearsal import files
from rehearsal.cloud import tls
from rehearsal.places import Place
from rehearsal.world import WorldError, postgres_image, shell
from rehearsal.world.postgres_image import UID
from rehearsal.world.postgres_settings import ALWAYS_LOADED

PORT = 6432  # where the product's pooler listens; here it is PostgreSQL itself
DATA, SOCKET, CONFIG = "/var/lib/postgresql/data", "/run/postgresql", "/etc/postgresql/managed"
START_LIMIT = 60  # seconds
STOP_SECONDS = 20

BASE = {
    "listen_addresses": "*",
    "port": str(PORT),
    "unix_socket_directories": SOCKET,
    "unix_socket_permissions": "0700",
    "hba_file": f"{CONFIG}/pg_hba.conf",
    "ident_file": f"{CONFIG}/pg_ident.conf",
    "ssl": "on",
    "ssl_cert_file": f"{CONFIG}/server.crt",
    "ssl_key_file": f"{CONFIG}/server.key",
    "ssl_min_protocol_version": "TLSv1.2",
    "password_encryption": "scram-sha-256",
    "shared_preload_libraries": ", ".join(ALWAYS_LOADED),
    "max_connections": "100",
    "shared_buffers": "32MB",  # several of these share one machine
    "wal_keep_size": "64MB",  # how far a follower may fall behind
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
# Users come over TLS with a password; the superuser only over the socket, from the machine that runs the rehearsal.
HBA = """\
local   all,replication all peer map=cloud
hostssl all postgres all reject
hostssl all all      all scram-sha-256
"""
IDENT = "cloud root postgres\ncloud postgres postgres\n"  # the second copies data to backups and followers
CONFINEMENT = ("--ulimit=host", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
LEADER = "/run/leader"  # the folder of the leader's socket, in a follower


class Host:
    """A database host by its full name. `folder` is where its data are kept."""

    def __init__(self, place: Place, name: str, folder: Path) -> None:
        self._place = place
        self.name = name
        self.id = host_id(name)
        self.container = place.container(self.id)
        self._folder = folder
        self.config = folder / "config"
        self.data, self.socket = folder / "data", folder / "socket"

    # ---- the container ----
    def running(self) -> bool:
        listed = json.loads(shell.podman("ps", "--all", "--filter", f"name=^{self.container}$", "--format", "json"))
        return any(item["State"] == "running" for item in listed)

    def start(self, names: list[str], leader: Host | None = None) -> None:
        """Start the server unless it runs, and wait until it answers. Its network namespace exists; `names` are what its
        certificate is for. With a leader it follows that, through its socket: what hosts say to each other passes no
        security group. The container is made anew each time: everything that has to stay is in the folder."""
        self._prepare(names)
        if self.running():
            return
        if not self.data.exists():
            self._initialize()
        if leader:  # a follower does not start with fewer connections and the like than its leader has
            self._write(
                "postgresql.conf", (leader.config / "postgresql.conf").read_bytes() + _lines(following(self.id))
            )
        shell.podman("rm", "--force", "--ignore", self.container)
        shell.podman(
            *("run", "--detach", f"--name={self.container}", f"--label={self._place.label}"),
            *(f"--hostname={self.id}", f"--network=ns:{shell.NETNS / self._place.netns(self.id)}", "--no-hosts"),
            *("--restart=on-failure:5", "--stop-signal=SIGINT", f"--stop-timeout={STOP_SECONDS}", "--shm-size=256m"),
            *CONFINEMENT,
            *(f"--volume={self._folder / 'data'}:{DATA}", f"--volume={self._folder / 'socket'}:{SOCKET}"),
            f"--volume={self.config}:{CONFIG}:ro",
            *((f"--volume={leader.socket}:{LEADER}",) if leader else ()),
            *(postgres_image.existing(), "postgres", "-D", DATA, f"--config_file={CONFIG}/postgresql.conf"),
        )
        self.wait()

    def stop(self) -> None:
        """End the server cleanly; its data stay."""
        shell.podman("rm", "--force", "--ignore", f"--time={STOP_SECONDS}", self.container)

    def restart(self) -> None:
        """Start the server again, with the settings that are on disk."""
        shell.podman("restart", f"--time={STOP_SECONDS}", self.container)
        self.wait()

    def delete(self) -> None:
        """Remove the server and its data."""
        shell.podman("rm", "--force", "--ignore", "--time=0", self.container)
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait(self) -> None:
        """Return when the server answers. Raises WorldError with its last words when it does not."""
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                with self.connect():
                    return
            except (psycopg.OperationalError, FileNotFoundError) as error:
                if time.monotonic() > deadline or not self.running():
                    raise WorldError(f"{self.name}: PostgreSQL does not start: {error}\n{self.log()}") from None
            time.sleep(0.05)

    def log(self, lines: int = 10) -> str:
        """The end of the server's log."""
        return shell.run("sh", "-c", 'podman logs --tail "$1" "$2" 2>&1', "sh", str(lines), self.container).strip()

    def _initialize(self) -> None:
        """Make the data folder; under another name until it is whole."""
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        own(fresh)
        shell.podman(
            *("run", "--rm", "--network=none", f"--label={self._place.label}", *CONFINEMENT),
            *(f"--volume={fresh}:{DATA}", postgres_image.existing(), "initdb", "--pgdata", DATA, "--encoding=UTF8"),
            *("--locale=C", "--username=postgres", "--auth-local=peer", "--auth-host=reject", "--data-checksums"),
        )
        fresh.rename(self.data)

    # ---- its files ----
    def _prepare(self, names: list[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.socket, self.config):
            own(folder)
        certificate, key = tls.issue(self._place.cloud, names)
        for name, content in (
            ("pg_hba.conf", HBA.encode()),
            ("pg_ident.conf", IDENT.encode()),
            ("server.crt", certificate.read_bytes()),
            ("server.key", key.read_bytes()),
        ):
            self._write(name, content)
        if not (self.config / "postgresql.conf").exists():
            self._write("postgresql.conf", configuration({}))

    def _write(self, name: str, content: bytes) -> None:
        files.write(self.config / name, content)
        os.chown(self.config / name, UID, UID)

    def configure(self, settings: dict[str, str]) -> None:
        """Make the server's settings these, on top of the fixed ones; restarts it where one needs that. Raises
        WorldError, with everything as before, when the server refuses one."""
        current, wanted = self.config / "postgresql.conf", configuration(settings)
        before = current.read_bytes()
        if before == wanted:
            return
        self._check(settings)
        self._write("postgresql.conf", wanted)
        if not self._needs_restart():
            return
        try:
            self.restart()
        except WorldError as error:
            self._write("postgresql.conf", before)
            self.restart()
            raise WorldError(f"{self.name}: PostgreSQL does not start with these settings: {error}") from None

    def _check(self, settings: dict[str, str]) -> None:
        given = [f"--{name}={value}" for name, value in settings.items()]
        try:
            shell.podman(
                *("exec", self.container, "postgres", "-D", DATA, f"--config_file={CONFIG}/postgresql.conf"),
                *(*given, "-C", "port"),
            )
        except shell.CommandError as error:
            raise WorldError(
                f"{self.name}: PostgreSQL refuses a setting: {str(error).rpartition('FATAL:')[2]}"
            ) from None

    def _needs_restart(self) -> bool:
        """Have the server read its settings again; whether some of them wait for a restart."""
        with self.connect() as connection:
            loaded = _one(connection, "SELECT pg_conf_load_time()")
            connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            with self.connect() as connection:
                if _one(connection, "SELECT pg_conf_load_time()") > loaded:
                    return bool(_one(connection, "SELECT count(*) FROM pg_settings WHERE pending_restart"))
            time.sleep(0.02)
        raise WorldError(f"{self.name}: PostgreSQL does not read its settings again within {START_LIMIT} s")

    # ---- the way in ----
    @contextmanager
    def connect(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """A superuser's connection over the socket, each statement a transaction of its own."""
        # A socket's path has at most 107 characters: an open folder gives every folder a short name.
        folder = os.open(self.socket, os.O_PATH)
        try:
            connection = psycopg.connect(
                host=f"/proc/{os.getpid()}/fd/{folder}",
                port=PORT,
                user="postgres",
                dbname=database,
                application_name="cloud",
                connect_timeout=10,
                autocommit=True,
                # Neither the log nor the statistics of the cluster may show what the cloud sets for its users.
                options="-c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic "
                "-c pg_stat_statements.track=none",
            )
        finally:
            os.close(folder)
        with connection:
            yield connection


def host_id(name: str) -> str:
    """`rc1a-….mdb.yandexcloud.net` is `rc1a-…` to the network and to podman."""
    return name.partition(".")[0]


def configuration(settings: dict[str, str]) -> bytes:
    """The text of postgresql.conf."""
    return _lines({**BASE, **settings})


def following(name: str) -> dict[str, str]:
    """The settings that a follower has beside its leader's; `name` is what the leader sees of it."""
    return {"primary_conninfo": f"host={LEADER} port={PORT} user=postgres application_name={name}"}


def _lines(settings: dict[str, str]) -> bytes:
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    return ("\n".join(lines) + "\n").encode()


def own(folder: Path) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    os.chown(folder, UID, UID)


def _one(connection: psycopg.Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None
