"""Object Storage behind the emulated cloud: a real S3 server (SeaweedFS) in the rehearsal's internet, or on loopback.

Buckets come only through the cloud's API. Who may do what is one file of identities, which the server reads again on
SIGHUP; the accounts of deleted keys stay in it without credentials, because a reload does not forget them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal import files, processes
from rehearsal.cloud import tls
from rehearsal.places import STORAGE, Place
from rehearsal.world import WorldError, s3_access, s3_settings, seaweed, shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rehearsal.cloud.core import Cloud

DAEMON = "storage"
ANONYMOUS = "anonymous"  # what the server calls everybody
ADMIN = "cloud"  # the identity that the cloud's API acts as
REGION = "ru-central1"
ADMIN_ACTIONS = ("Admin", "Read", "Write", "List", "Tagging")
START_LIMIT = 60  # seconds; on a busy machine
KEY_LIMIT = 5  # seconds until a new key must be accepted, a deleted one refused
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch")


class Storage:
    """The S3 server of one rehearsal, and what the cloud's API does to it. Without machines it is on loopback."""

    def __init__(self, place: Place, *, machines: bool = True) -> None:
        self._place = place
        self._netns = place.netns("internet") if machines else None
        self._folder = place.folder / "storage"
        self._identities = self._folder / "identities.json"
        self._lock = threading.Lock()

    # ---- the server ----
    def start(self) -> None:
        """Start the server unless it runs. With machines this needs the namespace `internet`."""
        if self._netns:
            shell.nft(self._netns, seaweed.FENCE)
        processes.start(self._place, self.daemon())

    def stop(self) -> None:
        """End the server; data and keys stay."""
        processes.stop(self._place, DAEMON)

    def daemon(self) -> processes.Daemon:
        """The server as a process, with its folder, certificate and identities in place."""
        self._place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self._folder, self._folder / "data"):
            folder.mkdir(exist_ok=True, mode=0o700)
        if not self._identities.exists():
            self._write({ADMIN: _identity(ADMIN, {ADMIN: secrets.token_urlsafe(32)}, ADMIN_ACTIONS)})
        certificate, key = tls.issue(
            self._place.cloud,
            [seaweed.HOST_NAME, f"*.{seaweed.HOST_NAME}", str(STORAGE), seaweed.LOOPBACK],
            label=seaweed.HOST_NAME,
        )
        shutil.copyfile(certificate, self._folder / "server.crt")
        files.write(self._folder / "server.key", key.read_bytes())
        argv = (
            seaweed.command(self._folder) if self._netns else seaweed.loopback(self._folder, seaweed.ports(self._place))
        )
        return processes.Daemon(DAEMON, argv, self._netns, seaweed.ENVIRONMENT)

    @property
    def endpoint(self) -> str:
        """The URL at which it answers."""
        return f"https://{STORAGE}" if self._netns else seaweed.endpoint(self._place)

    def wait(self) -> None:
        """Return when the server answers. Raises WorldError with its log."""

        def ask() -> None:
            with self._client() as s3:
                s3.list_buckets()

        if error := processes.refusal(self._place, DAEMON, ask, START_LIMIT, (BotoCoreError, ClientError)):
            log = processes.log_file(self._place, DAEMON)
            raise WorldError(f"Object Storage does not start: {error}. Its log: {log}")

    # ---- buckets ----
    def put_bucket(self, cloud: Cloud, bucket: Any) -> None:
        """Create the bucket if it is missing; make its settings what the message says."""
        name = bucket.name
        with self._calls(f"bucket {name}") as s3:
            if name not in {item["Name"] for item in s3.list_buckets()["Buckets"]}:
                s3.create_bucket(Bucket=name)
            s3_settings.apply(s3, bucket)
        public = s3_settings.public_actions(bucket)
        self._change(lambda identities: _make_public(identities, name, public))
        self.sync_access(cloud)  # its grants

    def bucket_is_empty(self, cloud: Cloud, bucket: Any) -> bool:
        """No object, no old version and no delete marker is left."""
        with self._calls(f"bucket {bucket.name}") as s3:
            found = s3.list_object_versions(Bucket=bucket.name, MaxKeys=1)
        return not (found.get("Versions") or found.get("DeleteMarkers"))

    def delete_bucket(self, cloud: Cloud, bucket: Any) -> None:
        """Delete an empty bucket; one that does not exist is fine. Raises WorldError where something is in it."""
        with self._calls(f"bucket {bucket.name}") as s3:
            if bucket.name not in {item["Name"] for item in s3.list_buckets()["Buckets"]}:
                return
        # The server itself would delete a bucket in which only old versions are left.
        if not self.bucket_is_empty(cloud, bucket):
            raise WorldError(f"Bucket {bucket.name} is not empty: delete its objects and their versions first")
        with self._calls(f"bucket {bucket.name}") as s3:
            s3.delete_bucket(Bucket=bucket.name)
        self._change(lambda identities: _make_public(identities, bucket.name, ()))

    # ---- access keys ----
    def put_access_key(self, cloud: Cloud, key: Any, secret: str) -> None:
        """Accept a static key from now on; returns when the server does."""

        def add(identities: dict[str, Any]) -> None:
            account = key.service_account_id
            credentials = {**_credentials(identities.get(account)), key.key_id: secret}
            identities[account] = _identity(account, credentials, s3_access.actions(cloud, account))

        self._change(add)
        self._wait_for_key(key.key_id, secret, accepted=True)

    def delete_access_key(self, cloud: Cloud, key: Any) -> None:
        """Refuse a static key from now on; returns when the server does."""
        account, secret = key.service_account_id, None

        def remove(identities: dict[str, Any]) -> None:
            nonlocal secret
            credentials = _credentials(identities.get(account))
            secret = credentials.pop(key.key_id, None)
            if secret is not None:
                identities[account] = _identity(account, credentials, s3_access.actions(cloud, account))

        self._change(remove)
        if secret is not None:
            self._wait_for_key(key.key_id, secret, accepted=False)

    def sync_access(self, cloud: Cloud) -> None:
        """Let every account do what its roles say now."""

        def refresh(identities: dict[str, Any]) -> None:
            for name, identity in identities.items():
                if name not in (ADMIN, ANONYMOUS):
                    identity["actions"] = list(s3_access.actions(cloud, name))

        self._change(refresh)

    def _wait_for_key(self, key_id: str, secret: str, *, accepted: bool) -> None:
        deadline = time.monotonic() + KEY_LIMIT
        while self._accepts(key_id, secret) is not accepted:
            if time.monotonic() > deadline:
                verb = "accept" if accepted else "refuse"
                raise WorldError(f"Object Storage does not {verb} the access key {key_id} within {KEY_LIMIT} s")
            time.sleep(0.05)

    def _accepts(self, key_id: str, secret: str) -> bool:
        try:
            with self._client(key_id, secret) as s3:
                s3.list_buckets()
        except ClientError as error:
            return error.response["Error"]["Code"] not in REFUSED
        except BotoCoreError as error:
            raise WorldError(f"Object Storage does not answer: {error}. `rehearsal up` starts it again") from None
        return True

    # ---- the file of identities ----
    def _change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Edit the identities by name, and have the server read them."""
        with self._lock:
            identities = self._read()
            before = json.dumps(identities, sort_keys=True)
            edit(identities)
            if json.dumps(identities, sort_keys=True) == before:
                return
            self._write(identities)
            if pid := processes.running(self._place, DAEMON):
                os.kill(pid, signal.SIGHUP)

    def _read(self) -> dict[str, Any]:
        try:
            return {item["name"]: item for item in json.loads(self._identities.read_text())["identities"]}
        except FileNotFoundError:
            raise WorldError("Object Storage was never started in this rehearsal: `rehearsal up` does") from None

    def _write(self, identities: dict[str, Any]) -> None:
        files.write(self._identities, json.dumps({"identities": list(identities.values())}).encode())

    # ---- talking to it ----
    @contextmanager
    def _client(self, key_id: str = ADMIN, secret: str = "") -> Iterator[Any]:
        """An S3 client inside the namespace; the cloud's own identity by default."""
        secret = secret or _credentials(self._read()[ADMIN])[ADMIN]
        with shell.entered(self._netns):
            s3 = boto3.session.Session().client(
                "s3",
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id=key_id,
                aws_secret_access_key=secret,
                verify=str(tls.authority(self._place.cloud)),
                config=Config(
                    connect_timeout=5, read_timeout=30, retries={"max_attempts": 1}, s3={"addressing_style": "path"}
                ),
            )
            try:
                yield s3
            finally:
                s3.close()

    @contextmanager
    def _calls(self, what: str) -> Iterator[Any]:
        """Calls as the cloud's own identity; a refusal becomes a WorldError that names `what`."""
        try:
            with self._client() as s3:
                yield s3
        except ClientError as error:
            raise WorldError(f"Object Storage, {what}: {error}") from None
        except BotoCoreError as error:
            raise WorldError(f"Object Storage, {what}: {error}. `rehearsal up` starts the server again") from None


def _identity(name: str, credentials: dict[str, str], actions: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """An entry of SeaweedFS's configuration."""
    pairs = [{"accessKey": key, "secretKey": secret} for key, secret in credentials.items()]
    return {"name": name, "credentials": pairs, "actions": list(actions)}


def _credentials(identity: dict[str, Any] | None) -> dict[str, str]:
    return {pair["accessKey"]: pair["secretKey"] for pair in (identity or {}).get("credentials", ())}


def _make_public(identities: dict[str, Any], bucket: str, actions: tuple[str, ...]) -> None:
    """What everybody may do in a bucket."""
    others = [a for a in identities.get(ANONYMOUS, {}).get("actions", ()) if a.partition(":")[2] != bucket]
    wanted = others + [f"{action}:{bucket}" for action in actions]
    if wanted or ANONYMOUS in identities:
        identities[ANONYMOUS] = _identity(ANONYMOUS, {}, wanted)
