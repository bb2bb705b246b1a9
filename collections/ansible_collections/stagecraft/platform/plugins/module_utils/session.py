"""The connection to Yandex Cloud: calls, their retries, waiting for operations, and what names mean."""

from __future__ import annotations

import importlib
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is imported: it would write to standard error by itself

import grpc
from google.rpc.status_pb2 import Status
from yandex.cloud.quota.quota_pb2 import QuotaFailure

from . import auth, services
from .connection import OPTIONS
from .declaration import Fail, Resource
from .descriptors import home, methods, new
from .errors import ApiFail, NoService, is_conflict, is_transient
from .iam_token import sdk
from .protobuf import dig

OPERATIONS = "operation.OperationService"
PAYLOADS, SECRETS = "lockbox.v1.PayloadService", "lockbox.v1.SecretService"
ONE_CALL = 30  # seconds that one call may take; what takes longer answers with an operation
UNSAID = 2  # seconds for which a call is tried again before anybody is told
BETWEEN_NOTICES = 10  # seconds
CODES = {code.value[0]: code.name for code in grpc.StatusCode}


def violations(status: Any) -> list[Any]:
    """The quotas that an error's details say are used up."""
    found = []
    for detail in status.details:
        failure = QuotaFailure()
        if detail.Unpack(failure):
            found += failure.violations
    return found


def details_of(error: Any) -> Any:
    """The details of a refused call: gRPC carries them in its trailing metadata."""
    return Status.FromString(dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b""))


def listed(page: Any) -> Any:
    """The messages of one page of a list."""
    return next(getattr(page, field.name) for field in page.DESCRIPTOR.fields if field.is_repeated)


def pauses(seconds: float, pause: float = 0.1, longest: float = 5) -> Iterator[None]:
    """Go round a loop for so many seconds, sleeping a little longer each time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(min(pause * random.uniform(0.8, 1.2), max(end - time.monotonic(), 0)))  # noqa: S311 (no secret)
        pause = min(pause * 1.5, longest)


class Untyped(ModuleType):
    """Stands in for the SDK's module of a service, by whose name the SDK knows where that is, and calls one method of it
    with bytes."""

    def __init__(self, name: str, method: str) -> None:
        super().__init__(name)
        self.method = method

    def __call__(self, channel: grpc.Channel) -> Any:
        return channel.unary_unary(self.method)


class Session:
    """Made once a run and shared by its threads."""

    def __init__(self, options: dict[str, Any]) -> None:
        """No call is made. Raises Fail where the credentials cannot work."""
        self.credentials = auth.credentials(options)
        self.endpoint = auth.option(options, "endpoint") or auth.DEFAULT_ENDPOINT
        certificates = auth.root_certificates(options)
        self.sdk, self._token = sdk(self.endpoint, certificates, self.credentials.arguments)
        self.folder = auth.option(options, "folder")
        self.timeout = float(options.get("operation_timeout") or OPTIONS["operation_timeout"]["default"])
        self.patience = float(options.get("retry_time") or OPTIONS["retry_time"]["default"])
        self.stage_labels = {str(k): str(v) for k, v in (options.get("stage_labels") or {}).items()}
        self.applied_secrets: dict[str, dict[str, str]] | None = options.get("applied_secrets")
        self.seen: dict[str, dict[str, Any]] = options.get("seen") or {}
        self._known: dict[tuple, tuple[str, Any]] = {}
        self._stubs: dict[str, Any] = {}
        self._lock = threading.Lock()
        # Takes a line about what is tried again, where somebody sees it.
        self.notice: Callable[[str], None] | None = None
        self._next_notice, self._notices = 0.0, threading.Lock()

    @classmethod
    def from_options(cls, options: dict[str, Any] | None = None) -> Session:
        """A session from a plugin's or module's options; what is not in them is taken from the environment.

        service_account_key_file, iam_token, token, auth (auto, metadata, ...), endpoint, root_certificates, folder,
        operation_timeout and retry_time (seconds), stage_labels; applied_secrets, for a run that keeps a record: the
        versions of secrets that the last one sent, by declaration and option, and `seen`, what it saw.
        """
        return cls(options or {})

    # ---- calls ----
    def token(self) -> str:
        """An IAM token of the session's credentials, for what is not called by the SDK. Raises Fail where there is none."""
        try:
            return self._token()
        except grpc.RpcError as refused:
            raise self.failure("iam.v1.IamTokenService.Create", refused.code().name, refused.details() or "") from None
        except OSError as error:  # of the metadata service
            raise Fail(f"{self.credentials.source} gives no token: {error}") from None

    def stub(self, service: str) -> Any:
        """The SDK's client of a service; the first one asks the API where its services are."""
        with self._lock:
            if service not in self._stubs:
                module = importlib.import_module(home(service) + "_grpc")
                self._stubs[service] = self.client(service, getattr(module, service.rpartition(".")[2] + "Stub"))
            return self._stubs[service]

    def client(self, service: str, made_of: Any) -> Any:
        """What `made_of` makes of the service's channel. Raises NoService."""
        try:
            return self.sdk.client(made_of)
        except (KeyError, RuntimeError):
            raise NoService(f"the API at {self.endpoint} has no {service}; is the endpoint right?") from None

    def lists_nothing(self, service: str) -> bool:
        """Whether a service says that there is nothing in the folder. The SDK's types of it are not loaded for that, which
        takes longer than the call. Raises NoService, and ApiFail where the cloud has no such method."""
        field, folder = services.FOLDER_AT.get(service, 1), self.need_folder().encode()
        request = bytes([field << 3 | 2, len(folder)]) + folder  # how protobuf writes a text
        with self._lock:
            call = self.client(service, Untyped(home(service) + "_grpc", f"/yandex.cloud.{service}/List"))
        try:
            return not call(request, timeout=ONE_CALL)
        except grpc.RpcError as refused:
            if refused.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise self.failure(f"{service}.List", refused.code().name, refused.details() or "") from None
            return False  # whoever asks with types sees why

    def once(self, service: str, method: str, request: Any) -> Any:
        """One call and its answer, retried with one idempotency key; None where a Get finds nothing."""
        reads = method.startswith(("Get", "List"))
        key = () if reads else (("idempotency-key", str(uuid.uuid4())),)  # of all tries of this call, and of no other
        started, error = time.monotonic(), None
        for attempt, _ in enumerate(pauses(self.timeout), 1):
            try:
                return getattr(self.stub(service), method)(request, metadata=key, timeout=ONE_CALL)
            except grpc.RpcError as refused:
                error = refused
            details = error.details() or ""
            if error.code() is grpc.StatusCode.NOT_FOUND and method.startswith("Get"):
                return None
            if is_conflict(details):  # another operation of the same cluster: wait for that as for our own
                self.tell(f"{service}.{method} (another operation is going on)", attempt + 1, started, self.timeout)
                continue
            quotas = violations(details_of(error))
            if not is_transient(error.code().name, details, quotas) or time.monotonic() - started > self.patience:
                break
            self.tell(f"{service}.{method} ({error.code().name})", attempt + 1, started, self.patience)
        name, said = error.code().name, error.details() or ""
        raise self.failure(f"{service}.{method}", name, said, violations(details_of(error)))

    def tell(self, what: str, attempt: int, started: float, limit: float) -> None:
        """Say what is tried again. All threads together say one line at a time, else they would all say the same."""
        now = time.monotonic()
        if self.notice is None or now - started < UNSAID:
            return
        with self._notices:
            if now < self._next_notice:
                return
            self._next_notice = now + BETWEEN_NOTICES
        self.notice(f"retrying {what}, attempt {attempt}, for up to {max(started + limit - now, 0):.0f} s")

    def failure(self, call: str, code: str, details: str, quotas: Sequence[Any] = ()) -> ApiFail:
        """An error of the API, with what to do about it."""
        facts = {"credentials": self.credentials.source, "endpoint": self.endpoint, "patience": f"{self.patience:.0f}"}
        return ApiFail(call, code, details, quotas, **facts)

    def call(self, service: str, method: str, request: Any) -> Any:
        """One call and, where it answers with an operation, the end of that: the finished operation."""
        answer = self.once(service, method, request)
        if answer is None or methods(service)[method].output_type.name != "Operation":
            return answer
        get = methods(OPERATIONS)["Get"].input_type
        for _ in pauses(self.timeout) if not answer.done else ():
            answer = self.once(OPERATIONS, "Get", new(get, operation_id=answer.id)) or answer
            if answer.done:
                break
        if not answer.done:
            raise Fail(
                f"{service}.{method} is still going on after {self.timeout:.0f} s (operation {answer.id}): it "
                "goes on in the cloud; run the same again to go on waiting for it (operation_timeout says how long)"
            )
        if answer.HasField("error"):
            code = CODES.get(answer.error.code, "UNKNOWN")
            raise self.failure(f"{service}.{method}", code, answer.error.message, violations(answer.error))
        return answer

    def pages(self, service: str, method: str = "List", **values: Any) -> Iterator[Any]:
        """Every message that a List method answers with, over all pages; the next is on its way while one is looked at."""
        request = new(methods(service)[method].input_type, **values)
        page = self.call(service, method, request)
        with ThreadPoolExecutor(1) as ahead:
            while token := getattr(page, "next_page_token", ""):
                request.page_token = token
                coming = ahead.submit(self.call, service, method, request)
                yield from listed(page)
                page = coming.result()
        yield from listed(page)

    # ---- what names mean ----
    def bound(self, resource: Resource) -> dict[str, Any]:
        return resource.backend(self, resource, {}).bound

    def resolve(self, target: Resource, keys: dict[str, str], take: Any = "") -> Any:
        """The id of what keys name, by its name or its id, or the value that `take` says; None where there is no such
        thing."""
        backend = self.at(target, keys)
        slot = (target.api, *sorted(backend.keys.items()))
        if slot not in self._known:
            if backend.find() is None and backend.find_by_id(keys["name"]) is None:
                return None
            self._known[slot] = backend.id, backend.raw
        ident, message = self._known[slot]
        if callable(take):
            return take(self, message)
        return dig(message, take) if take else ident

    def names(self, target: Resource, keys: dict[str, str]) -> list[str]:
        """What resources of a kind are called; keys say where."""
        return self.at(target, keys).names()

    def at(self, target: Resource, keys: dict[str, str]) -> Any:
        """A backend for what keys name; nothing is asked yet."""
        backend = target.backend(self, target, {})
        in_folder = target.parent is not None and target.parent.name == "folder"
        backend.keys = {"folder": self.need_folder(), **keys} if in_folder else keys
        return backend

    def need_folder(self) -> str:
        if not self.folder:
            raise Fail("no folder: set YC_FOLDER_ID or the option folder to the id of the folder to work in")
        return self.folder

    def remember(self, backend: Any) -> None:
        self._known[(backend.resource.api, *sorted(backend.keys.items()))] = backend.id, backend.raw

    def forget(self, backend: Any) -> None:
        self._known.pop((backend.resource.api, *sorted(backend.keys.items())), None)

    def secret(self, secret_id: str, key: str) -> str:
        """The text of one entry of a Lockbox secret's current version."""
        entries = self.payload(secret_id)
        if key not in entries:
            raise Fail(f"the secret has no entry {key} (it has: {', '.join(sorted(entries)) or 'none'})")
        return entries[key]

    def secret_version(self, secret_id: str) -> str:
        """The id of a Lockbox secret's current version; empty where it has none yet."""
        version = self.current_version(secret_id)
        return version.id if version is not None else ""

    def current_version(self, secret_id: str) -> Any:
        """What may be known of a Lockbox secret's current version without reading it; None where there is no secret."""
        secret = self.call(SECRETS, "Get", new(methods(SECRETS)["Get"].input_type, secret_id=secret_id))
        return secret.current_version if secret is not None else None

    def payload(self, secret_id: str) -> dict[str, str]:
        """All text entries of a Lockbox secret's current version; none where it has no version yet."""
        request = new(methods(PAYLOADS)["Get"].input_type, secret_id=secret_id)
        try:
            answer = self.call(PAYLOADS, "Get", request)
        except ApiFail:
            secret = self.call(SECRETS, "Get", new(methods(SECRETS)["Get"].input_type, secret_id=secret_id))
            if secret is None or secret.HasField("current_version"):
                raise
            return {}
        return {e.key: e.text_value for e in answer.entries} if answer else {}

    def add_to_secret(self, secret_id: str, entries: dict[str, str | None], note: str = "") -> None:
        """Add a version in which these entries are set, those without a text removed, and the others as they were. What
        the `note` says of it can be read without reading the secret."""
        request = new(methods(SECRETS)["AddVersion"].input_type, secret_id=secret_id, description=note)
        for key, text in entries.items():
            request.payload_entries.add(key=key, **({} if text is None else {"text_value": text}))
        self.call(SECRETS, "AddVersion", request)
