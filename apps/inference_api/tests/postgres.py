"""A real PostgreSQL cluster in a temporary folder: TLS only, passwords, can be stopped and started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
from authority import Authority

BINARIES = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "a password of the tests"
HBA = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


class Postgres:
    """One cluster. The server refuses to run as root, so root hands it to the user `postgres` or `nobody`."""

    def __init__(self, folder: Path, authority: Authority, port: int) -> None:
        self.folder, self.port = folder / "cluster", port
        self._user = None if os.getuid() else "postgres"
        self.folder.mkdir()
        certificate = authority.issue("postgres", "localhost")
        self._own(self.folder)
        password = folder / "superuser-password"
        password.write_text(PASSWORD)
        self._own(password)
        self._run("initdb", "-D", ".", "-U", "super", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync")
        for source, name in ((certificate.certificate, "server.crt"), (certificate.key, "server.key")):
            shutil.copy(source, self.folder / name)
            self._own(self.folder / name)
        (self.folder / "pg_hba.conf").write_text(HBA)
        with (self.folder / "postgresql.conf").open("a") as config:
            config.write(
                f"listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nssl = on\nfsync = off\n"
            )

    def _own(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user)

    def _run(self, program: str, *arguments: str) -> None:
        # runuser and not subprocess's `user`, which forks: gRPC's threads do not bear that
        as_user = ["runuser", "-u", self._user, "--"] if self._user else []
        command = [*as_user, str(BINARIES / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout.decode()

    def start(self) -> None:
        """Serve, and wait until it does."""
        self._run("pg_ctl", "-D", ".", "-w", "-l", "log", "start")

    def stop(self) -> None:
        """Stop at once, sessions or not."""
        self._run("pg_ctl", "-D", ".", "-w", "-m", "fast", "stop")

    def running(self) -> bool:
        """Whether it was started."""
        return (self.folder / "postmaster.pid").exists()

    def query(self, statement: str, *, user: str = "super", database: str = "postgres") -> list[tuple]:
        """Rows of a statement, over TLS as everybody."""
        with psycopg.connect(
            host="localhost",
            hostaddr="127.0.0.1",
            port=self.port,
            user=user,
            password=PASSWORD,
            dbname=database,
            sslmode="require",
            autocommit=True,
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
