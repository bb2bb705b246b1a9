"""Credentials of a pipeline's job: its OpenID Connect token is exchanged for an IAM token, so that no key is kept anywhere.

GitLab hands the job its token in YC_ID_TOKEN, GitHub on request; YC_SERVICE_ACCOUNT_ID names the account to become.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

from stagecraft.stages import Refused

if TYPE_CHECKING:
    import httpx

GITLAB, GITHUB = "YC_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"
ACCOUNT = "YC_SERVICE_ACCOUNT_ID"
EXCHANGE = "https://auth.yandex.cloud/oauth/token"  # RFC 8693; YC_TOKEN_EXCHANGE names another one
TIMEOUT = 30  # seconds
TRIES = 3  # of a connection
HELP = "docs/delivery.md says how the two are made to trust each other"


def given() -> list[str]:
    """The variables by which this job was offered a token."""
    return [name for name in (GITLAB, GITHUB) if os.environ.get(name)]


def credentials() -> dict[str, str]:
    """YC_IAM_TOKEN for this job; nothing where it was offered no token. Raises Refused with what its token says of it."""
    if not given():
        return {}
    account = os.environ.get(ACCOUNT)
    if not account:
        raise Refused(
            f"This job has a token of its own, but {ACCOUNT} does not say which account it may become: {HELP}."
        )
    token = os.environ.get(GITLAB) or from_github(account)
    url = os.environ.get("YC_TOKEN_EXCHANGE", EXCHANGE)
    kind = "urn:ietf:params:oauth:token-type:"
    answer = call(
        "POST",
        url,
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": f"{kind}access_token",
            "audience": account,
            "subject_token": token,
            "subject_token_type": f"{kind}id_token",
        },
    )
    if "access_token" not in answer:
        why = ": ".join(str(answer[key]) for key in ("error", "error_description", "message") if answer.get(key))
        raise Refused(f"{url} gave no IAM token of {account}: {why or answer}.\n{said(token)}\n  {HELP}")
    return {"YC_IAM_TOKEN": str(answer["access_token"])}


def from_github(account: str) -> str:
    """A job's token on GitHub: one asks for it. Its audience is the account, so that it is of no use to anybody else."""
    answer = call(
        "GET",
        os.environ[GITHUB],
        params={"audience": account},
        headers={"Authorization": f"Bearer {os.environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', '')}"},
    )
    if "value" not in answer:
        raise Refused(
            f"GitHub gave this job no token: {answer.get('message', answer)}. The job needs `id-token: write`."
        )
    return str(answer["value"])


def call(method: str, url: str, **options: Any) -> dict[str, Any]:
    """The JSON object that was answered, also with an error's code. Raises Refused where there is none."""
    answer = request(method, url, os.environ.get("YC_ROOT_CERTIFICATES") or True, **options)
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(f"{url.partition('?')[0]} answered {answer.status_code} and no JSON. Run the job again.")
    return found


def request(method: str, url: str, trusted: str | bool, **options: Any) -> httpx.Response:
    """What was answered; `trusted` is a file of authorities, or True for the system's. Raises Refused where nothing is."""
    import httpx  # here, because every other command would start later

    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=TRIES, verify=trusted), timeout=TIMEOUT) as client:
            params = {**dict(httpx.URL(url).params), **options.pop("params", {})}
            return client.request(method, url, params=params, **options)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refused(f"{url.partition('?')[0]} does not answer: {error}. Run the job again.") from None


def said(token: str) -> str:
    """What a token says of its job; these are not secret, and they are what a federation compares."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return "  the job's token says " + ", ".join(f"{name} {claims.get(name)!r}" for name in ("iss", "aud", "sub"))
    except (IndexError, ValueError, AttributeError):
        return "  the job's token is no JSON Web Token"
