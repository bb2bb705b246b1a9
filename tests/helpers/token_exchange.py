"""A pipeline's issuer of tokens, and the service that exchanges them: OpenID Connect and RFC 8693, over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.message import Message
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from json_server import JsonServer

ISSUER = "https://gitlab.example.com"
SUBJECT = "project_path:team/stagecraft:ref_type:branch:ref:main"
KINDS = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
}


class Exchange(JsonServer):
    """Trusts its own key, one issuer, one audience, and one subject for one account; `grant` makes the account's token."""

    def __init__(self, account: str, grant: Callable[[str], str]) -> None:
        self.account, self.grant = account, grant
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.granted = 0
        super().__init__()
        self.url += "/oauth/token"

    def answered(self, method: str, path: str, headers: Message, body: bytes) -> tuple[int, object]:
        """An exchange, or for GET what GitHub gives a job that asks with its own secret."""
        if method == "POST":
            return self.exchanged({name: values[0] for name, values in parse_qs(body.decode()).items()})
        if headers["Authorization"] != "Bearer asked":
            return 401, {"message": "Bad credentials"}
        return 200, {"value": self.token(aud=parse_qs(urlsplit(path).query)["audience"][0])}

    def token(self, **claims: str) -> str:
        """A job's token, good for an hour: as long as the job may run."""
        now = int(time.time())
        told = {"iss": ISSUER, "aud": ISSUER, "sub": SUBJECT, "iat": now, "exp": now + 3600} | claims
        return jwt.encode(told, self.key, algorithm="RS256")

    def exchanged(self, form: dict[str, str]) -> tuple[int, dict]:
        if any(form.get(name) != kind for name, kind in KINDS.items()) or form.get("audience") != self.account:
            return 400, {"error": "invalid_request", "error_description": "what is asked for is not understood"}
        try:
            claims = jwt.decode(
                form["subject_token"], self.key.public_key(), algorithms=["RS256"], issuer=ISSUER,
                audience=[ISSUER, self.account],
            )  # fmt: skip
        except jwt.InvalidTokenError as error:
            return 400, {"error": "invalid_grant", "error_description": str(error)}
        if claims["sub"] != SUBJECT:
            return 400, {"error": "invalid_grant", "error_description": "no federated credential has this subject"}
        self.granted += 1
        return 200, {"access_token": self.grant(self.account), "token_type": "Bearer", "expires_in": 3600}
