"""The cloud: what exists, who may ask, and the way of a call through it."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from yandex.cloud.operation.operation_pb2 import Operation

from rehearsal.cloud import descriptors, roles
from rehearsal.cloud.descriptors import is_map, new, short
from rehearsal.cloud.errors import ApiError, Code, code_of, invalid, not_found
from rehearsal.cloud.faults import Faults
from rehearsal.cloud.identity import ANYBODY, Identity
from rehearsal.cloud.journal import Journal
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Operations
from rehearsal.cloud.quotas import Quotas
from rehearsal.cloud.service import Call, Service
from rehearsal.cloud.store import Facts, Row, Store
from rehearsal.cloud.validation import validate
from rehearsal.world import World, WorldError

log = logging.getLogger(__name__)
ZONES = ("ru-central1-a", "ru-central1-b", "ru-central1-d")
IMAGES = "standard-images"  # the folder of public images: everybody reads it
SERVICES = (
    "endpoint",
    "operation",
    "iam",
    "resourcemanager",
    "quotamanager",
    "vpc",
    "compute",
    "lockbox",
    "kms",
    "storage",
    "dns",
    "postgresql",
    "containerregistry",
    "logging",
    "certificatemanager",
    "serverless_containers",
    "api_gateway",
)

# Fields of requests that name another resource.
REFERENCES = {
    "network_id": "vpc.v1.Network",
    "network_ids": "vpc.v1.Network",
    "private_network_id_additions": "vpc.v1.Network",
    "subnet_id": "vpc.v1.Subnet",
    "route_table_id": "vpc.v1.RouteTable",
    "gateway_id": "vpc.v1.Gateway",
    "security_group_id": "vpc.v1.SecurityGroup",
    "security_group_ids": "vpc.v1.SecurityGroup",
    "service_account_id": "iam.v1.ServiceAccount",
    "image_id": "compute.v1.Image",
    "disk_id": "compute.v1.Disk",
    "disk_ids": "compute.v1.Disk",
    "snapshot_id": "compute.v1.Snapshot",
    "instance_id": "compute.v1.Instance",
    "dns_zone_id": "dns.v1.DnsZone",
    "secret_id": "lockbox.v1.Secret",
    "registry_id": "containerregistry.v1.Registry",
    "repository_id": "containerregistry.v1.Repository",
    "log_group_id": "logging.v1.LogGroup",
    "certificate_id": "certificatemanager.v1.Certificate",
    "container_id": "serverless.containers.v1.Container",
    "bucket_id": "storage.v1.Bucket",
    "folder_id": "resourcemanager.v1.Folder",
    "cloud_id": "resourcemanager.v1.Cloud",
}


class Cloud:
    """Everything that the emulated cloud knows. Its methods may be called from any thread."""

    def __init__(
        self, store: Store, journal: Journal, identity: Identity, world: World, delay: float, *, quotas: bool = False
    ) -> None:
        self.store = store
        self.journal = journal
        self.identity = identity
        self.world = world
        self.delay = delay  # seconds that every operation takes before its work begins
        self.lag = 0.0  # seconds for which Get and List do not show what was made
        self.quotas = Quotas(store, published=quotas)
        self.faults = Faults()
        self.operations = Operations(self)
        self.address = ""
        self.folder = journal.path.parent  # where its certificate authority is
        self.cloud_id = self.folder_id = ""
        self.services: dict[str, Service] = {}
        self.kinds: dict[str, Kind] = {}
        self._unseen: dict[tuple[str, str], float] = {}  # what Get and List do not show yet, and until when
        self._sync = threading.Lock()
        self._asked = self._synced = 0
        for name in SERVICES:
            module = importlib.import_module(f"rehearsal.cloud.services.{name}")
            for service in [made() for made in module.SERVICES]:
                self.services[service.name] = service
                if isinstance(service, Kind):
                    self.kinds[service.api] = service
            self.kinds |= {made.api: made() for made in getattr(module, "HIDDEN", ())}

    # ---- what a World, and the services, read ----
    def kind(self, api: str) -> Kind:
        return self.kinds[api]

    def message(self, row: Row) -> Message:
        found = new(row.api)
        found.ParseFromString(row.message)
        return found

    def all(self, api: str) -> list[Message]:
        """Copies of every resource of a type, oldest first."""
        return [self.message(row) for row in self.store.rows("api = ?", api)]

    def get(self, api: str, ident: str) -> Message | None:
        """A copy of one resource, or None."""
        row = self.store.row(api, ident)
        return self.message(row) if row else None

    def facts(self, api: str, ident: str) -> Facts:
        """What the API does not show of a resource: a dictionary that keeps every change."""
        return Facts(self.store, api, ident)

    def secret(self, api: str, ident: str) -> bytes | None:
        """A secret kept for a resource: a user's password, an access key's secret."""
        return self.store.secret(api, ident)

    def made(self, api: str, ident: str) -> None:
        """Something new is kept from Get and List for a moment, as an eventually consistent service does."""
        if self.lag:
            self._unseen[api, ident] = time.monotonic() + self.lag

    def unseen(self, api: str, ident: str) -> bool:
        return self._unseen.get((api, ident), 0) > time.monotonic()

    def sync_network(self) -> None:
        """Have the World follow the network. Callers that come while it works share the next round."""
        with self.store.lock:
            self._asked += 1
            mine = self._asked
        with self._sync:
            if self._synced >= mine:
                return
            with self.store.lock:
                upto = self._asked
            self.world.sync_network(self)
            self._synced = upto

    # ---- checks that services share ----
    def check_references(self, request: Message) -> None:
        """Raise where a request names a zone or a resource that does not exist."""
        for field, value in request.ListFields():
            if is_map(field):
                continue
            for item in value if field.is_repeated else [value]:
                if field.message_type:
                    self.check_references(item)
                elif field.name == "zone_id" and item not in ZONES:
                    raise invalid(f"zone_id: Zone {item} not found; there are {', '.join(ZONES)}")
                elif item and field.name in REFERENCES and self.store.row(REFERENCES[field.name], item) is None:
                    raise not_found(REFERENCES[field.name].rpartition(".")[2], item)

    def user_of(self, ident: str, apis: tuple[str, ...]) -> Row | None:
        """A resource, of one of the types, whose message holds the id. (Ids are random: bytes that match are the id.)"""
        for api in apis:
            found = self.store.rows("api = ? AND id != ? AND instr(message, CAST(? AS BLOB)) > 0", api, ident, ident)
            for row in found:
                if self.kinds[api].holds(self.message(row), ident):
                    return row
        return None

    def places(self, request: Message) -> list[str]:
        """Where a role may be bound that lets somebody make this request: the resource, its folder, the cloud."""
        folder, known = getattr(request, "folder_id", ""), False
        named = [v for f, v in request.ListFields() if f.name in ("resource_id", "name") or f.name.endswith("_id")]
        named = [v for v in named if isinstance(v, str)]
        for row in [] if folder else [row for ident in named for row in self.store.rows("id = ?", ident)]:
            folder, known = folder or row.folder, True
        if not folder and not known:  # about nothing that there is: whoever may do it here is told so
            folder = self.folder_id
        return [*named, *filter(None, (folder,)), self.cloud_id]

    # ---- the way of a call ----
    def method(self, name: str) -> MethodDescriptor:
        """The descriptor behind `vpc.v1.SubnetService.Create`. Raises KeyError."""
        service, _, method = name.rpartition(".")
        return descriptors.service(service).methods_by_name[method]

    def call(self, method: MethodDescriptor, request: Message, metadata: dict[str, str], principal: str) -> Message:
        """Answer one call. Raises ApiError."""
        name = short(method)
        service = self.services.get(short(method.containing_service))
        if service is None:
            raise ApiError(Code.UNIMPLEMENTED, f"{name} is not part of the emulated cloud")
        self._fault(name, "refuse", "slow")
        validate(request)
        key = "" if method.name.startswith(("Get", "List")) else metadata.get("idempotency-key", "")
        call = Call(self, method, request, principal, key)
        with self.store.transaction():
            answer = self._replay(call)
            if answer is None:
                self._authorize(service, call)
                with self.quotas.guard(self, call.name):
                    answer = service.handle(call)
                self._remember(call, answer)
        self._afterwards(call)
        self._fault(name, "lose")
        return answer

    def _authorize(self, service: Service, call: Call) -> None:
        """Raise PERMISSION_DENIED unless the caller may do this, and may use what the request names of other services."""
        wanted = roles.verb(call.name)
        there = service.places(call)
        if call.name in ANYBODY or (wanted == "read" and IMAGES in (getattr(call.request, "folder_id", ""), *there)):
            return
        self.identity.authorize(call.principal, service.guarded(call), wanted, *there)
        if wanted != "read":
            own = (
                f"{service.noun}_id" if isinstance(service, Kind) else ""
            )  # `image_id` means one thing here and one there
            for other, use, ident in self._used(call.request, service.name.split(".")[0], own):
                folder = next((row.folder for row in self.store.rows("id = ?", ident)), self.folder_id)
                if folder != IMAGES:
                    self.identity.authorize(call.principal, other, use, *filter(None, (ident, folder, self.cloud_id)))

    def _used(self, message: Message, package: str, own: str = "") -> Iterator[tuple[str, str, str]]:
        """(service, verb, id) of what a request needs of other parts of the API; the id is '' where there is none. `own` is
        the field that names what the request is about."""
        for field, value in message.ListFields():
            if field.name == own:
                continue
            api = REFERENCES.get(field.name, "")
            for item in value if field.is_repeated and not is_map(field) else [value]:
                if field.name == "one_to_one_nat_spec":
                    yield "vpc.v1.AddressService", "public", ""
                elif field.message_type and not is_map(field):
                    yield from self._used(item, package)
                elif api and item and api.split(".")[0] not in (package, "resourcemanager"):
                    yield f"{api}Service", "use", item

    def _afterwards(self, call: Call) -> None:
        """What a call does without the lock: start its operation, reach into the World."""
        todo: list[Callable[[], None]] = call.later
        try:
            for step in todo:
                step()
        except WorldError as error:
            raise ApiError(Code.INTERNAL, str(error)) from error

    def _fault(self, method: str, *effects: str) -> None:
        fault = self.faults.take(method, *effects)
        if fault is None:
            return
        if fault.delay:
            self.operations.stopping.wait(fault.delay)
        if fault.effect != "slow":
            raise ApiError(code_of(fault.code), fault.message)

    # ---- idempotency keys ----
    def _replay(self, call: Call) -> Message | None:
        """The answer that the same key had before. Raises INVALID_ARGUMENT where it came with another request."""
        if not call.key:
            return None
        sql = "SELECT method, digest, operation, answer FROM answers WHERE key = ? AND principal = ?"
        for method, digest, operation, answer in self.store.query(sql, call.key, call.principal):
            if (method, digest) != (call.name, call.digest):
                raise invalid(f"idempotency-key: {call.key} was used for another request ({method})")
            if operation:
                return self.operations.get(operation)
            found = call.answer()
            found.ParseFromString(answer)
            return found
        return None

    def _remember(self, call: Call, answer: Message) -> None:
        if not call.key:
            return
        values = (answer.id, None) if isinstance(answer, Operation) else (None, answer.SerializeToString())
        known = (call.key, call.principal, call.name, call.digest)
        self.store.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", *known, *values)
