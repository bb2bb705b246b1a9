"""The emulator as a server: gRPC over TLS, state in a folder, started and stopped by whoever needs it."""

from __future__ import annotations

import fcntl
import json
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from rehearsal import files, places
from rehearsal.cloud import bootstrap, descriptors, entrance, tls
from rehearsal.cloud.admin import Admin
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import ApiError
from rehearsal.cloud.faults import Faults
from rehearsal.cloud.identity import Identity
from rehearsal.cloud.journal import Journal
from rehearsal.cloud.rest import Rest
from rehearsal.cloud.store import Store
from rehearsal.world import World

WORKERS = 32
DETAILS = "grpc-status-details-bin"
NAMES = (
    *("localhost", "127.0.0.1", str(places.API), str(places.STORAGE)),
    *("storage.yandexcloud.net", "*.storage.yandexcloud.net", "*.mdb.yandexcloud.net", "*.api.cloud.yandex.net"),
)


class Handler(grpc.GenericRpcHandler):
    """Finds the method behind a call's path and lets the cloud answer it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        path = details.method.lstrip("/").removeprefix(descriptors.PREFIX)
        try:
            method = self.cloud.method(path.replace("/", "."))
        except KeyError:
            return None  # gRPC answers UNIMPLEMENTED

        def answer(request: Message, context: grpc.ServicerContext) -> Message:
            try:
                return entrance.answer(self.cloud, method, request, dict(context.invocation_metadata()))
            except ApiError as error:
                if error.details:
                    context.set_trailing_metadata(((DETAILS, error.status().SerializeToString()),))
                context.abort(error.code, error.message)

        kind = message_factory.GetMessageClass(method.input_type)
        return grpc.unary_unary_rpc_method_handler(answer, kind.FromString, lambda message: message.SerializeToString())


@dataclass
class Emulator:
    """A running emulator. `env` points an SDK at it, `rest.address` is for those who speak JSON; `faults` and `journal` are
    for tests and for the curious."""

    folder: Path
    address: str
    env: dict[str, str]
    cloud: Cloud
    server: grpc.Server
    rest: Rest
    admin: Admin
    lock: IO[str]

    @property
    def faults(self) -> Faults:
        return self.cloud.faults

    @property
    def journal(self) -> Journal:
        return self.cloud.journal

    def stop(self) -> None:
        """Answer nothing more, let running work end, close the files. What is not done goes on after the next start."""
        self.rest.stop()
        self.server.stop(grace=1).wait(10)
        self.cloud.operations.stop()
        self.admin.stop()
        self.journal.close()
        self.cloud.store.close()
        self.lock.close()


def start(
    folder: Path,
    *,
    world: World | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    rest: tuple[str, int] = ("127.0.0.1", 0),
    delay: float = 0.0,
    quotas: bool = False,
) -> Emulator:
    """Serve the cloud whose state is in `folder` (made when empty) on host:port, and its REST interface on the address
    `rest`; port 0 takes a free one.

    `delay` is how many seconds an operation takes at least. With `quotas` the limits hold that the real cloud publishes,
    else only those that somebody sets. Unfinished operations of an earlier run go on. Raises OSError
    where the address cannot be had."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = _only_one(folder)
    certificate, key = tls.issue(folder, [*NAMES, host], "server")
    store, journal = Store(folder / "cloud.sqlite"), Journal(folder / "journal.jsonl")
    identity = Identity(store, set())
    cloud = Cloud(store, journal, identity, world or World(), delay, quotas=quotas)
    known = bootstrap.prepare(cloud, folder)
    server = grpc.server(futures.ThreadPoolExecutor(WORKERS, "call"), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Handler(cloud),))
    pair = (key.read_bytes(), certificate.read_bytes())
    try:
        port = server.add_secure_port(f"{host}:{port}", grpc.ssl_server_credentials([pair]))
    except RuntimeError as error:
        raise OSError(f"the emulated cloud cannot listen on {host}:{port}: {error}") from error
    front = Rest(cloud, rest, certificate, key)
    cloud.address = f"{host}:{port}"
    identity.audiences |= bootstrap.audiences(host, port)
    env = {"YC_ENDPOINT": cloud.address, "YC_ROOT_CERTIFICATES": str(folder / "ca.pem"), **known}
    files.write(folder / "env.json", json.dumps(env, indent=1).encode())
    if store.setting("started"):
        cloud.world.resume(cloud)
        cloud.sync_network()
    store.put_setting("started", "yes")
    server.start()
    front.start()
    cloud.operations.resume()
    return Emulator(folder, cloud.address, env, cloud, server, front, Admin(cloud, folder), lock)


def _only_one(folder: Path) -> IO[str]:
    """Two emulators over one state would corrupt it. Raises OSError while another one is alive."""
    lock = (folder / "emulator.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise OSError(f"an emulated cloud is running over {folder} already") from None
    return lock
