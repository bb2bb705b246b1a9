"""Who may pull and push: the tokens that the registry's server asks for, given to those whom IAM knows.

The protocol is the one of every registry (distribution/spec/auth/token): a client shows here who it is, and gets a token
that says what it may do; the server only checks the signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import json
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from yandex.cloud.containerregistry.v1.ip_permission_pb2 import IpPermission

from rehearsal.cloud import tls
from rehearsal.cloud.errors import ApiError
from rehearsal.cloud.identity import JWT_LIFE, unauthenticated
from rehearsal.cloud.services import containerregistry, iam
from rehearsal.places import REGISTRY_NAME

if TYPE_CHECKING:
    from rehearsal.cloud.core import Cloud

HOST = "container-registry.api.cloud.yandex.net"
PATH = "/token"
REALM = f"https://{HOST}{PATH}"
LIFE = 300  # seconds that a token is good; clients ask for another one by themselves
IMAGES = "containerregistry.v1.ImageService"  # where a role must let somebody pull or push
ACTIONS = {"pull": IpPermission.PULL, "push": IpPermission.PUSH}


def signer(folder: Path) -> tuple[str, str]:
    """The certificate by which the server knows tokens, and its private key, both PEM; made when missing."""
    certificate, key = tls.issue(folder, [HOST], "registry-tokens")
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    return leaf.public_bytes(serialization.Encoding.PEM).decode(), key.read_text()


def token(folder: Path, principal: str, access: list[dict[str, Any]]) -> str:
    """A signed token that allows `access`: {type, name, actions} each."""
    certificate, key = signer(folder)
    now = int(time.time())
    claims = {"iss": REGISTRY_NAME, "aud": REGISTRY_NAME, "sub": principal, "jti": uuid.uuid4().hex, "access": access}
    claims |= {"iat": now, "nbf": now - 10, "exp": now + LIFE}
    return jwt.encode(claims, key, "ES256", headers={"kid": _key_id(certificate)})


def _key_id(certificate: str) -> str:
    """The name of a key as the server (libtrust) makes it: 240 bits of its digest in groups of four letters."""
    public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    letters = base64.b32encode(hashlib.sha256(public.public_bytes(*form)).digest()[:30]).decode()
    return ":".join(letters[place : place + 4] for place in range(0, len(letters), 4))


def answer(cloud: Cloud, target: str, headers: dict[str, str], client: str) -> dict[str, Any]:
    """The answer to a client at the address `client` who asks for what is in the query of `target`. What it may not do
    is left out; the server says so when it tries. Raises UNAUTHENTICATED where it is not who it says."""
    principal = _principal(cloud, headers.get("authorization", ""))
    access = []
    for scope in " ".join(parse_qs(urlsplit(target).query).get("scope", ())).split():
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        allowed = [action for action in actions.split(",") if _allowed(cloud, principal, name, action, client)]
        if kind == "repository" and allowed:
            access.append({"type": kind, "name": name, "actions": allowed})
    signed = token(cloud.folder, principal, access)
    return {"token": signed, "access_token": signed, "expires_in": LIFE}


def _allowed(cloud: Cloud, principal: str, repository: str, action: str, client: str) -> bool:
    """Whether a role on the repository, its registry or the folder allows it, and the registry's list of networks."""
    registry = cloud.get(containerregistry.REGISTRY, repository.partition("/")[0])
    if registry is None or action not in ACTIONS:
        return False
    try:
        cloud.identity.authorize(principal, IMAGES, action, *containerregistry.places(cloud, repository))
    except ApiError:
        return False
    networks = [ip for kind, ip in containerregistry.permitted(cloud, registry.id) if kind == ACTIONS[action]]
    address = ipaddress.ip_address(client)
    return not networks or any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def _principal(cloud: Cloud, authorization: str) -> str:
    """Whose name and password these are; nobody's where there are none. Raises UNAUTHENTICATED."""
    kind, _, text = authorization.partition(" ")
    if not authorization:
        return ""
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = password = ""
    if kind.lower() != "basic" or not password:
        raise unauthenticated("log in with a name and a password: iam and an IAM token, or json_key and a key file")
    if user == "json_key":
        password = _exchange(cloud, password)
    elif user == "oauth":
        password, _ = cloud.identity.exchange_oauth(password)
    elif user != "iam":
        raise unauthenticated(f"{user!r} is no way to log in: the name must be iam, oauth or json_key")
    return cloud.identity.principal(REGISTRY_NAME, {"authorization": f"Bearer {password}"})


def _exchange(cloud: Cloud, text: str) -> str:
    """An IAM token for the file of an authorized key. Raises UNAUTHENTICATED."""
    try:
        file = json.loads(text)
        private = file["private_key"][file["private_key"].index("-----BEGIN") :]
        now = int(time.time())
        claims = {"iss": file["service_account_id"], "aud": next(iter(cloud.identity.audiences))}
        claims |= {"iat": now, "exp": now + JWT_LIFE}
        signed = jwt.encode(claims, private, "PS256", headers={"kid": file["id"]})
    except (ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
        raise unauthenticated(f"the password is no file of an authorized key: {type(error).__name__}") from None
    return cloud.identity.exchange_jwt(signed, lambda key: iam.public_key(cloud, key))[0]
