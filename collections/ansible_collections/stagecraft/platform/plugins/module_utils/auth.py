"""Whom the calls are made as: options, the environment behind them, and what is wrong with them, before any call."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from .connection import METHODS, VARIABLES
from .declaration import Fail

METADATA = "YC_METADATA_ADDR"
DEFAULT_ENDPOINT = "api.cloud.yandex.net"  # without a port: it is in the audience of the signed request for a token


@dataclass(frozen=True)
class Credentials:
    """What yandexcloud.SDK takes, and where it came from, for messages. No secret is in `source`."""

    source: str
    arguments: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def account(self) -> str:
        """The id of the service account whose key this is; empty where a token says nothing of whose it is."""
        return str(self.arguments.get("service_account_key", {}).get("service_account_id", ""))


def option(options: dict, name: str) -> str:
    """An option, or else its environment variable."""
    return str(options.get(name) or os.environ.get(VARIABLES[name], ""))


def source(options: dict, name: str) -> str:
    return f"option {name}" if options.get(name) else f"the environment variable {VARIABLES[name]}"


def method(options: dict) -> str:
    """Which of the methods to use: the one that is asked for, the one option, or the first variable that is set."""
    asked = options.get("auth") or "auto"
    if asked != "auto":
        return asked
    given = [n for n in METHODS[:-1] if options.get(n)]
    if len(given) > 1:
        raise Fail(f"more than one kind of credentials is given: {', '.join(given)}; leave one, or say which with auth")
    return (given or [n for n in METHODS[:-1] if os.environ.get(VARIABLES[n])] or ["metadata"])[0]


def credentials(options: dict) -> Credentials:
    """The credentials to use. Raises Fail with what to set where there are none or they cannot be right."""
    chosen = method(options)
    if chosen == "metadata":
        return metadata(asked=options.get("auth") == "metadata")
    value = option(options, chosen)
    if not value:
        raise Fail(f"auth: {chosen} needs the option {chosen} or the environment variable {VARIABLES[chosen]}")
    where = source(options, chosen)
    if chosen == "service_account_key_file":
        return Credentials(f"{where}, {value}", {"service_account_key": key_file(value, where)})
    return Credentials(where, {chosen: value})


def key_file(path: str, where: str) -> dict[str, str]:
    """An authorized key of a service account, as `yc iam key create` writes it."""
    make = "create one with: yc iam key create --service-account-name NAME --output FILE"
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            key = json.load(file)
    except OSError as error:
        raise Fail(f"{where}: the service account key file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise Fail(f"{where}: {path} is not a service account key file (it is not JSON); {make}") from None
    lacking = [n for n in ("id", "service_account_id", "private_key") if not (isinstance(key, dict) and key.get(n))]
    if lacking:
        raise Fail(f"{where}: {path} is not a service account key file (it has no {', '.join(lacking)}); {make}")
    check_private_key(key["private_key"], f"{where}: {path}")
    return key


def check_private_key(text: str, where: str) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        load_pem_private_key(text[max(text.find("-----BEGIN"), 0) :].encode(), None)
    except (ValueError, TypeError):
        raise Fail(f"{where}: its private_key is not a private key in PEM form; was the file cut or edited?") from None


def metadata(asked: bool) -> Credentials:
    """The service account of the machine that this runs on, from its metadata service."""
    address = os.environ.get(METADATA, "169.254.169.254")
    url = f"http://{address}/computeMetadata/v1/instance/service-accounts/default/token"
    request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as answer:
            json.load(answer)["access_token"]
    except urllib.error.HTTPError as error:
        said = f"gave no token (HTTP {error.code}): has this machine a service account?"
        raise no_credentials(asked, address, said) from None
    except (OSError, ValueError, KeyError) as error:
        raise no_credentials(asked, address, f"does not answer as it should: {error}") from None
    return Credentials(f"the metadata service at {address}")


def no_credentials(asked: bool, address: str, said: str) -> Fail:
    """The error where the metadata service was the last hope, or what was asked for."""
    if asked:
        return Fail(f"auth: metadata: the metadata service at {address} {said}")
    return Fail(
        "no credentials: set YC_SERVICE_ACCOUNT_KEY_FILE (a service account's key file), YC_IAM_TOKEN or YC_TOKEN, "
        f"or the option of the same purpose ({', '.join(METHODS[:-1])}); "
        f"the metadata service of a machine in the cloud ({address}) {said}"
    )


def root_certificates(options: dict) -> bytes | None:
    """The certificates to trust, PEM, where it is not the system's own."""
    path = option(options, "root_certificates")
    if not path:
        return None
    where = source(options, "root_certificates")
    try:
        with open(os.path.expanduser(path), "rb") as file:
            text = file.read()
    except OSError as error:
        raise Fail(f"{where}: {path} cannot be read: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise Fail(f"{where}: {path} holds no certificate in PEM form")
    return text
