"""What the tests talk to: a PostgreSQL, a peer of Triton, and the service as its own process; all over TLS."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from authority import Authority, Pair

import postgres as postgres_module
import triton_peer
from inference_api.database import migrate
from inference_api.keys import set_key
from inference_api.settings import load
from postgres import PASSWORD, Postgres

SOURCE = Path(__file__).parents[1] / "src"
KEY = "a-key-for-tests-0123456789-0123456789"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `what`; fails after that long."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            assert value, f"not within {seconds} s"
            return value
        time.sleep(0.05)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter too."""
    made = Path(tempfile.mkdtemp(prefix="inference-api-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="session")
def client_certificate(authority: Authority) -> Pair:
    return authority.issue("client")


@pytest.fixture(scope="session")
def server_certificate(authority: Authority) -> Pair:
    return authority.issue("localhost", "localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def cluster(folder: Path, authority: Authority) -> Iterator[Postgres]:
    if not postgres_module.BINARIES.exists():
        pytest.skip(f"PostgreSQL is not in {postgres_module.BINARIES}: apt-get install postgresql-15")
    made = Postgres(folder, authority, free_port())
    made.start()
    made.query(f"CREATE ROLE api LOGIN PASSWORD '{PASSWORD}'")
    yield made
    if made.running():
        made.stop()


@pytest.fixture
def postgres(cluster: Postgres) -> Iterator[Postgres]:
    """Running before the test and after it."""
    if not cluster.running():
        cluster.start()
    yield cluster
    if not cluster.running():
        cluster.start()


_numbers = itertools.count()


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The name of an empty database that the user api owns."""
    name = f"api_{next(_numbers)}"
    postgres.query(f"CREATE DATABASE {name} OWNER api")
    return name


@dataclass
class Peer:
    """The Triton peer in this process, with its switches."""

    address: str
    certificate: Pair
    ca: Path
    service: triton_peer.Service = field(default_factory=triton_peer.Service)
    server: Any = None

    def start(self) -> None:
        pair = self.certificate
        self.server = triton_peer.start(self.address, self.service, pair.certificate, pair.key, self.ca)

    def stop(self) -> None:
        if self.server:
            self.server.stop(None).wait()
            self.server = None


@pytest.fixture
def triton(authority: Authority, server_certificate: Pair) -> Iterator[Peer]:
    peer = Peer(f"localhost:{free_port()}", server_certificate, authority.certificate)
    peer.start()
    yield peer
    peer.stop()


@pytest.fixture
def environment(
    tmp_path: Path, authority: Authority, client_certificate: Pair, postgres: Postgres, database: str, triton: Peer
) -> dict[str, str]:
    """The variables of a service in front of these, with short times."""
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    given: dict[str, object] = {
        "state_directory": tmp_path / "state",
        "triton_address": triton.address,
        "triton_ca_file": authority.certificate,
        "triton_certificate_file": client_certificate.certificate,
        "triton_key_file": client_certificate.key,
        "models_refresh_seconds": 0.2,
        "database_host": "localhost",
        "database_port": postgres.port,
        "database_name": database,
        "database_user": "api",
        "database_password_file": password,
        "database_ca_file": authority.certificate,
        "database_timeout_seconds": 2,
        "keys_refresh_seconds": 0.2,
        "records_flush_seconds": 0.1,
    }
    return {f"INFERENCE_API_{name.upper()}": str(value) for name, value in given.items()}


def command(
    environment: dict[str, str], *arguments: str, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `inference-api`."""
    done = subprocess.run(
        [sys.executable, "-m", "inference_api", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture
def migrated(environment: dict[str, str]) -> dict[str, str]:
    """The environment, with the schema made and KEY set for the client `tester`."""
    settings = load(environment)
    migrate(settings)
    set_key(settings, "tester", KEY.encode())
    return environment


class Api:
    """The service as a process of its own, over HTTPS."""

    def __init__(self, environment: dict[str, str], certificate: Pair, ca: Path, log: Path) -> None:
        self.port = free_port()
        self.log = log
        self.environment = {
            **environment,
            "INFERENCE_API_PORT": str(self.port),
            "INFERENCE_API_TLS_CERTIFICATE_FILE": str(certificate.certificate),
            "INFERENCE_API_TLS_KEY_FILE": str(certificate.key),
        }
        self.context = ssl.create_default_context(cafile=ca)
        self.renew()
        self.process: subprocess.Popen[bytes] | None = None

    def renew(self) -> None:
        """A client without open connections."""
        self.client = httpx.Client(
            base_url=f"https://localhost:{self.port}",
            verify=self.context,
            headers={"authorization": f"Bearer {KEY}"},
            timeout=20,
        )

    def start(self, **settings: object) -> Api:
        """Start it, and wait until it answers at all."""
        more = {f"INFERENCE_API_{name.upper()}": str(value) for name, value in settings.items()}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inference_api", "serve"],
                env={**os.environ, "PYTHONPATH": str(SOURCE), **self.environment, **more},
                stderr=log,
            )
        until(lambda: self.answers("/healthz"), 90)
        return self

    def answers(self, path: str) -> bool:
        """Whether the path answers 200."""
        try:
            return self.client.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def ready(self) -> Api:
        """Wait until predictions can be answered by every worker (each new connection may reach another one)."""
        until(lambda: all(self._fresh("/readyz") for _ in range(4)))
        return self

    def _fresh(self, path: str) -> bool:
        try:
            return self.client.get(path, headers={"connection": "close"}).status_code == 200
        except httpx.TransportError:
            return False

    def predict(self, inputs: Any, model: str = "digits", **more: Any) -> httpx.Response:
        return self.client.post(f"/v1/predict/{model}", json={"inputs": inputs, **more})

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; `name` may end in a part of the labels."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        self.process.terminate()
        code = self.process.wait(40)
        self.process = None
        return code

    def kill(self) -> None:
        """End it, if it is still there; several workers end with their parent's SIGTERM."""
        self.client.close()
        if self.process and self.process.poll() is None:
            self.stop()


@pytest.fixture
def api(migrated: dict[str, str], server_certificate: Pair, authority: Authority, tmp_path: Path) -> Iterator[Api]:
    """A service that is not started yet."""
    made = Api(migrated, server_certificate, authority.certificate, tmp_path / "log")
    yield made
    made.kill()
    if made.log.exists():
        print(made.log.read_text()[-5000:])
