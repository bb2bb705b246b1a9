"""The daemon in front of serverless containers and API gateways: `python -m rehearsal.serverless.front <rehearsal>`.

It lives in the namespace `serverless`, where the instances are, and answers at SERVERLESS in the internet."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rehearsal import files
from rehearsal.cloud import metadata, tls
from rehearsal.cloud.identity import Identity
from rehearsal.cloud.store import Store
from rehearsal.places import CONTAINERS, GATEWAYS, METADATA, SERVERLESS, Place
from rehearsal.serverless import control, instances, invoke, served
from rehearsal.serverless.gateway import Gateways
from rehearsal.serverless.invoke import Refused
from rehearsal.serverless.pool import Pool
from rehearsal.serverless.served import Revision
from rehearsal.world import WorldError, shell

TEND_SECONDS = 0.5
THREADS = 16  # that start and stop instances side by side
BACKLOG = 1024
KEEP_ALIVE = 75  # seconds that a visitor's connection may say nothing
ENDING = 5  # seconds in which requests may end when the front is told to
log = logging.getLogger(__name__)


class Front:
    """Everything that the daemon does."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._served = served.Reader(place)
        self._instances = instances.Instances(place)
        self._pools: dict[str, Pool] = {}
        self._settings = control.Settings(place)
        self._invoke = invoke.Invoker(self._pool)
        self._gateways = Gateways(self._served, self._grant, self._invoke, tls.authority(place.cloud))
        self._contexts: dict[str, tuple[tuple[int, int], ssl.SSLContext]] = {}

    @functools.cached_property
    def _identity(self) -> Identity:
        """Tokens and roles, from the cloud's own store: it is opened when somebody asks, the cloud makes it."""
        return Identity(Store(self._place.cloud / "cloud.sqlite"), set())

    def _grant(self, account: str) -> tuple[str, float]:
        return self._identity.grant(account)

    def _pool(self, revision: Revision) -> Pool:
        if revision.id not in self._pools:
            self._pools[revision.id] = Pool(revision, self._instances, lambda: self._settings.idle)
        return self._pools[revision.id]

    # ---- requests ----
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refused as refused:
            response = refused.response()
        except Exception:
            log.exception("%s %s", request.method, request.url)
            response = Refused(500, "The rehearsal's front failed; its log says why", "InternalError").response()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        """By the host name: a container's, a gateway's, or a domain that a gateway was given."""
        host, known = request.headers.get("host", "").partition(":")[0].lower(), self._served()
        first, _, rest = host.partition(".")
        if rest == CONTAINERS and (container := known.containers.get(first)):
            return await self._invoke(container, invoke.caller(self._identity, request), request)
        for gateway in known.gateways.values():
            if host in gateway.names:
                return await self._gateways(gateway, request)
        raise Refused(404, f"Nothing is served as {host}")

    # ---- orders ----
    async def order(self, call: str, given: dict[str, object]) -> object:
        """What the World wants (see control). Raises WorldError."""
        if call == "prepare":
            await self._pool(msgspec.convert(given["revision"], Revision)).prepare()
            return None
        if call == "idle":
            self._settings.idle = float(str(given["seconds"]))
            return self._settings.idle
        if call == "status":
            revisions = {
                ident: {"instances": len(pool.scale.seats), "starting": pool.scale.starting}
                for ident, pool in self._pools.items()
            }
            return {"idle": self._settings.idle, "revisions": revisions}
        raise WorldError(f"{call}: the front knows no such order")

    # ---- instances ----
    def _adopt(self) -> None:
        """Take over what an earlier front has left. Instances of revisions that are not live any more go."""
        for instance in self._instances.adopt():
            revision = self._served().revision(instance.revision)
            if revision is None:
                self._instances.remove(instance.id, instance.address)
            else:
                self._pool(revision).adopt(instance)

    async def _tend(self) -> None:
        while True:
            try:
                self._look()
            except Exception:  # what is wrong with one look must not end scaling for ever
                log.exception("instances were not looked after")
            await asyncio.sleep(TEND_SECONDS)

    def _look(self) -> None:
        """Every revision that is live has its pool, and every pool the instances that it should have."""
        known = self._served()
        revisions = [container.revision for container in known.containers.values() if container.revision]
        live = {revision.id for revision in revisions}
        for revision in revisions:
            self._pool(revision)
        for ident, pool in list(self._pools.items()):
            pool.tend(live=ident in live)
            if ident not in live and pool.empty:
                del self._pools[ident]

    def _account_of(self, address: str) -> str | None:
        """Whose tokens the instance at an address gets."""
        for pool in list(self._pools.values()):
            if address in pool.addresses():
                return pool.revision.account
        return None

    # ---- TLS ----
    def _context(self, file: str) -> ssl.SSLContext:
        """The context of a certificate and its key, read again when their file is another one."""
        status = Path(file).stat()
        changed = status.st_mtime_ns, status.st_ino
        known = self._contexts.get(file)
        if known is None or known[0] != changed:
            known = self._contexts[file] = changed, _tls(file)
        return known[1]

    def _own_context(self) -> ssl.SSLContext:
        """The context of the cloud's own names, which leads to those of gateways' domains."""
        names = [f"*.{CONTAINERS}", f"*.{GATEWAYS}", str(SERVERLESS)]

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if file := self._served().certificates.get(name or ""):
                connection.context = self._context(file)

        context = _tls(*tls.issue(self._place.cloud, names, label="serverless"))
        context.sni_callback = choose
        return context

    # ---- the daemon ----
    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Instances go on without it, for the next front."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "instances"))
        with shell.entered(self._place.netns("internet")):
            listening = socket.create_server((str(SERVERLESS), 443), backlog=BACKLOG)
        os.chdir(files.private_folder(served.folder(self._place)))  # containers' monitors leave a file where they start
        self._adopt()
        service = metadata.Service(self._grant, self._account_of, socket.create_server((str(METADATA), 80)))
        service.start()
        config = uvicorn.Config(
            self,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",  # a request to go over to a web socket is answered like any other
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=ENDING,
        )
        config.load()
        config.ssl = self._own_context()
        door = await control.serve(self._place, self.order)
        tending = asyncio.create_task(self._tend())
        log.info("answering at %s", SERVERLESS)
        try:
            await uvicorn.Server(config).serve(sockets=[listening])
        finally:
            tending.cancel()
            door.close()
            service.stop()


def _tls(certificate: str | Path, key: Path | None = None) -> ssl.SSLContext:
    """A server's context; without a `key` of its own the certificate's file has it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        asyncio.run(Front(Place(sys.argv[1])).run())
    except (OSError, WorldError) as error:
        sys.exit(f"the front of serverless containers cannot start: {error}")
