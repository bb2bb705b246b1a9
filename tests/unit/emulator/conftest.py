"""An emulator a test, and a World that notes what it is asked."""

from __future__ import annotations

import threading

import pytest
from cloud_client import Client

from rehearsal.cloud import server
from rehearsal.world import World, WorldError


class NotingWorld(World):
    """Keeps the names of the calls it got; fails those in `broken`, waits in those of `gates`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self.passwords: dict[str, str | None] = {}
        self.full_buckets: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.gate.wait(20)
        if call.split(" ")[0] in self.broken:
            raise WorldError(f"{call} cannot be done")

    def resume(self, cloud) -> None:
        self._note("resume")

    def sync_network(self, cloud) -> None:
        self._note("sync_network")

    def start_instance(self, cloud, instance) -> None:
        self._note(f"start_instance {instance.name}")

    def stop_instance(self, cloud, instance) -> None:
        self._note(f"stop_instance {instance.name}")

    def delete_instance(self, cloud, instance) -> None:
        self._note(f"delete_instance {instance.name}")

    def serial_output(self, cloud, instance) -> str:
        return f"console of {instance.name}"

    def put_cluster(self, cloud, cluster) -> None:
        self._note(f"put_cluster {cluster.name}")

    def restore_cluster(self, cloud, cluster, backup, *, live) -> None:
        self._note(f"restore_cluster {cluster.name} {'live' if live else 'as it was'}")

    def put_user(self, cloud, cluster, user, password) -> None:
        self.passwords[user.name] = password
        self._note(f"put_user {user.name}")

    def put_database(self, cloud, cluster, database) -> None:
        self._note(f"put_database {database.name}")

    def bucket_is_empty(self, cloud, bucket) -> bool:
        return bucket.name not in self.full_buckets

    def put_revision(self, cloud, container, revision) -> str:
        self._note(f"put_revision {revision.id}")
        return ""

    def sync_serverless(self, cloud) -> None:
        self._note("sync_serverless")

    def put_gateway(self, cloud, gateway) -> None:
        known = cloud.get("serverless.apigateway.v1.ApiGateway", gateway.id)
        self._note(f"put_gateway {gateway.name} {known.Status.Name(known.status)}")

    def put_access_key(self, cloud, key, secret) -> None:
        self._note(f"put_access_key {secret}")


@pytest.fixture
def world():
    return NotingWorld()


@pytest.fixture
def emulator(tmp_path, world):
    running = server.start(tmp_path / "cloud", world=world)
    yield running
    world.gate.set()
    running.faults.clear()
    running.stop()


@pytest.fixture
def client(emulator):
    return Client(emulator.env)
