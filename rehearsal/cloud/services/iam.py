"""Tokens, service accounts and their keys."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

from google.protobuf.message import Message

from rehearsal.cloud.access import Bound
from rehearsal.cloud.bootstrap import key_pair
from rehearsal.cloud.core import Cloud
from rehearsal.cloud.errors import invalid
from rehearsal.cloud.kind import Kind
from rehearsal.cloud.operations import Job
from rehearsal.cloud.service import Call, Service
from rehearsal.world import WorldError

ACCOUNT = "iam.v1.ServiceAccount"
ACCESS_KEY = "iam.v1.awscompatibility.AccessKey"


class Tokens(Service):
    name = "iam.v1.IamTokenService"

    def create(self, call: Call, request: Message) -> Message:
        """A token for a signed request or for an OAuth token."""
        identity, how = call.cloud.identity, request.WhichOneof("identity")
        if how == "jwt":
            token, expires = identity.exchange_jwt(request.jwt, lambda key: public_key(call.cloud, key))
        elif how == "yandex_passport_oauth_token":
            token, expires = identity.exchange_oauth(request.yandex_passport_oauth_token)
        else:
            raise invalid("identity: one of yandex_passport_oauth_token, jwt is required")
        answer = call.answer()
        answer.iam_token = token
        answer.expires_at.FromDatetime(datetime.fromtimestamp(expires, UTC))
        return answer

    def create_for_service_account(self, call: Call, request: Message) -> Message:
        """A token of another account, for who administers the folder."""
        call.cloud.check_references(request)
        answer = call.answer()
        answer.iam_token, expires = call.cloud.identity.grant(request.service_account_id)
        answer.expires_at.FromDatetime(datetime.fromtimestamp(expires, UTC))
        return answer


def public_key(cloud: Cloud, ident: str) -> tuple[str, str]:
    """The account of an authorized key and its public half in PEM; empty where there is no such key."""
    key = cloud.get("iam.v1.Key", ident)
    return (key.service_account_id, key.public_key) if key is not None else ("", "")


class ServiceAccount(Bound, Kind):
    api = ACCOUNT
    prefix = "aje"
    transient = False

    def work_delete(self, cloud: Cloud, account: Message, job: Job) -> None:
        for key in cloud.all(ACCESS_KEY):
            if key.service_account_id == account.id:
                cloud.world.delete_access_key(cloud, key)

    def drop(self, cloud: Cloud, ident: str) -> None:
        super().drop(cloud, ident)
        cloud.store.execute("DELETE FROM bindings WHERE subject = ?", ident)
        cloud.store.execute("DELETE FROM tokens WHERE principal = ?", ident)


class KeyKind(Kind):
    """Keys of service accounts: made and deleted at once, some without an operation. The secret is shown once."""

    prefix = "aje"
    parent = ACCOUNT

    def create(self, call: Call, request: Message) -> Message:
        """Without an account id the key is the caller's own."""
        request.service_account_id = request.service_account_id or call.principal
        call.cloud.check_references(request)
        key = self.make(call, request, service_account_id=request.service_account_id)
        return self.issued(call, key)

    def list(self, call: Call, request: Message) -> Message:
        if not call.method.name.endswith("Operations"):
            request.service_account_id = request.service_account_id or call.principal
        return super().list(call, request)

    def issued(self, call: Call, key: Message) -> Message:
        """The answer to Create, with the secret."""
        raise NotImplementedError


class AuthorizedKey(KeyKind):
    api = "iam.v1.Key"

    def issued(self, call: Call, key: Message) -> Message:
        private, key.public_key = key_pair()
        key.key_algorithm = key.RSA_2048
        self.save(call.cloud, key)
        answer = call.answer()
        answer.key.CopyFrom(key)
        answer.private_key = f"PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <{key.id}>\n{private}"
        return answer


class ApiKey(KeyKind):
    api = "iam.v1.ApiKey"
    transient = False

    def on_create(self, call: Call, resource: Message, request: Message) -> None:
        self._check(resource)

    def on_update(self, call: Call, resource: Message, before: Message, request: Message) -> None:
        if resource.expires_at != before.expires_at:
            self._check(resource)

    def _check(self, key: Message) -> None:
        """A new end is still to come."""
        if key.HasField("expires_at") and key.expires_at.seconds <= time.time():
            raise invalid(f"expires_at: {key.expires_at.ToJsonString()} is past")

    def issued(self, call: Call, key: Message) -> Message:
        answer = call.answer()
        answer.secret = "AQVN" + secrets.token_urlsafe(27)
        key.masked_secret = answer.secret[:4] + "***" + answer.secret[-4:]
        self.save(call.cloud, key)
        answer.api_key.CopyFrom(key)
        return answer


class AccessKey(KeyKind):
    """Static keys of Object Storage: the real server behind it has to know them."""

    api = ACCESS_KEY

    def issued(self, call: Call, key: Message) -> Message:
        cloud, answer = call.cloud, call.answer()
        key.key_id, answer.secret = "YCAJE" + secrets.token_urlsafe(15), "YC" + secrets.token_urlsafe(28)
        self.save(cloud, key)
        cloud.store.put_secret(self.api, key.id, answer.secret.encode())
        answer.access_key.CopyFrom(key)

        def put() -> None:
            try:
                cloud.world.put_access_key(cloud, key, answer.secret)
            except WorldError:
                cloud.store.drop(self.api, key.id)
                raise

        call.later.append(put)
        return answer

    def work_delete(self, cloud: Cloud, key: Message, job: Job) -> None:
        cloud.world.delete_access_key(cloud, key)


SERVICES = (Tokens, ServiceAccount, AuthorizedKey, ApiKey, AccessKey)
