"""What the tests talk to: a PostgreSQL, a peer of Triton, a bucket, and the service as its own process; all over TLS."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from authority import Authority, Pair
from storage import KEY as STORAGE_KEY
from storage import SECRET as STORAGE_SECRET
from storage import Storage, seaweed

import onnx_models
import postgres as postgres_module
import triton_peer
from bucket import Bucket, Gate
from inference_api.database import migrate
from inference_api.database_keys import set_key
from inference_api.listed_keys import entry
from inference_api.settings import load
from postgres import PASSWORD, Postgres
from process import KEY, Api, free_port


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


@pytest.fixture
def migrated(environment: dict[str, str]) -> dict[str, str]:
    """The environment, with the schema made and KEY set for the client `tester`."""
    settings = load(environment)
    migrate(settings)
    set_key(settings, "tester", KEY.encode())
    return environment


@pytest.fixture
def api(migrated: dict[str, str], server_certificate: Pair, authority: Authority, tmp_path: Path) -> Iterator[Api]:
    """A service that is not started yet."""
    yield from running(Api(migrated, tmp_path / "log", server_certificate, authority.certificate))


def running(made: Api) -> Iterator[Api]:
    """The service for a test, ended after it."""
    yield made
    made.kill()
    if made.log.exists():
        print(made.log.read_text()[-5000:])


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    with seaweed(tmp_path_factory.mktemp("storage")) as server:
        yield server


@pytest.fixture
def gate(storage: Storage) -> Iterator[Gate]:
    made = Gate(storage.endpoint)
    yield made
    made.close()


@pytest.fixture
def bucket(storage: Storage) -> Bucket:
    """A place of the test's own, with nothing in it."""
    return Bucket(storage, f"test-{next(_numbers)}")


@pytest.fixture
def published(bucket: Bucket) -> Bucket:
    """The models of the Triton peer, in the bucket."""
    for model, versions in onnx_models.LIKE_TRITON.items():
        for version, data in versions.items():
            bucket.publish(model, version, data)
    return bucket


@pytest.fixture
def alone_environment(tmp_path: Path, bucket: Bucket, gate: Gate) -> dict[str, str]:
    """The variables of a service that needs nothing but the bucket, with short times."""
    secret = tmp_path / "storage-secret"
    secret.write_text(STORAGE_SECRET + "\n")
    given: dict[str, object] = {
        "state_directory": tmp_path / "state",
        "engine": "onnxruntime",
        "models_url": bucket.url("models"),
        "models_refresh_seconds": 0.2,
        "store": "objects",
        "predictions_url": bucket.url("predictions"),
        "keys": entry("tester", KEY.encode(), None),
        "storage_endpoint": gate.endpoint,
        "storage_key_id": STORAGE_KEY,
        "storage_secret_key_file": secret,
        "storage_ca_file": bucket.storage.ca,
        "storage_timeout_seconds": 2,
        "keys_refresh_seconds": 0.2,
        "records_flush_seconds": 0.1,
    }
    return {f"INFERENCE_API_{name.upper()}": str(value) for name, value in given.items()}


@pytest.fixture
def alone(
    alone_environment: dict[str, str], server_certificate: Pair, authority: Authority, tmp_path: Path
) -> Iterator[Api]:
    """Such a service, not started yet."""
    yield from running(Api(alone_environment, tmp_path / "log", server_certificate, authority.certificate))
