"""Who calls and what they may do: IAM tokens, authorized keys, roles."""

from __future__ import annotations

import hashlib
import secrets
import time

import jwt

from rehearsal.cloud import roles
from rehearsal.cloud.errors import ApiError, Code, invalid
from rehearsal.cloud.store import Store

TOKEN_LIFE = 12 * 3600  # seconds, as the real service gives
JWT_LIFE = 3600  # seconds that a signed request may be valid at most
LEEWAY = 60  # seconds that two clocks may differ
OPEN = {"iam.v1.IamTokenService.Create", "endpoint.ApiEndpointService.List", "endpoint.ApiEndpointService.Get"}
ANYBODY = OPEN | {"operation.OperationService.Get"}  # every caller who is known may ask for these


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def unauthenticated(message: str) -> ApiError:
    return ApiError(Code.UNAUTHENTICATED, message)


class Identity:
    """Tokens and permissions, over the store. `token_life` (seconds) can be shortened by a test."""

    def __init__(self, store: Store, audiences: set[str]) -> None:
        self.store = store
        self.audiences = audiences
        self.token_life: float = TOKEN_LIFE
        self.oauth = ("", "")  # the one OAuth token that is accepted, and whose it is

    # ---- tokens ----
    def exchange_jwt(self, text: str, key_of: object) -> tuple[str, float]:
        """An IAM token for a request signed with an authorized key. `key_of` maps a key id to (account id, public PEM).

        Returns the token and when it ends, in seconds since 1970. Raises ApiError where anything about it is wrong."""
        try:
            key_id = jwt.get_unverified_header(text).get("kid", "")
        except jwt.InvalidTokenError as error:
            raise invalid(f"JWT is malformed: {error}") from None
        account, public = key_of(key_id)
        if not public:
            raise unauthenticated(f"The JWT names the key {key_id!r}, which does not exist")
        try:
            claims = jwt.decode(
                text,
                public,
                algorithms=["PS256"],
                audience=self.audiences,
                issuer=account,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as error:
            raise unauthenticated(f"The JWT is not accepted: {error}") from None
        if claims["exp"] - claims["iat"] > JWT_LIFE + LEEWAY:
            raise unauthenticated(f"The JWT is valid for longer than {JWT_LIFE} seconds")
        return self.grant(account)

    def exchange_oauth(self, token: str) -> tuple[str, float]:
        """An IAM token for the person's OAuth token. Raises UNAUTHENTICATED."""
        known, principal = self.oauth
        if not known or not secrets.compare_digest(known.encode(), token.encode()):
            raise unauthenticated("The OAuth token is invalid")
        return self.grant(principal)

    def grant(self, principal: str) -> tuple[str, float]:
        """A fresh token of a principal; only its digest is kept."""
        token, expires = "t1." + secrets.token_urlsafe(48), time.time() + self.token_life
        self.store.execute("DELETE FROM tokens WHERE expires < ?", time.time() - 86400)
        self.store.execute("INSERT INTO tokens VALUES (?, ?, ?)", _digest(token), principal, expires)
        return token, expires

    def principal(self, method: str, metadata: dict[str, str]) -> str:
        """Who holds the call's token. Raises UNAUTHENTICATED."""
        if method in OPEN:
            return ""
        kind, _, token = metadata.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise unauthenticated("The call carries no IAM token")
        found = self.store.query("SELECT principal, expires FROM tokens WHERE digest = ?", _digest(token))
        if not found:
            raise unauthenticated("The token is invalid")
        if found[0][1] < time.time():
            raise unauthenticated("The token has expired")
        return found[0][0]

    # ---- roles ----
    def bindings(self, resource: str) -> list[tuple[str, str, str]]:
        """(role, subject type, subject id) on a resource, in a steady order."""
        return self.store.query(
            "SELECT role, kind, subject FROM bindings WHERE resource = ? ORDER BY role, kind, subject", resource
        )

    def bind(self, resource: str, role: str, kind: str, subject: str) -> bool:
        """Add a binding; False where it was there."""
        return bool(
            self.store.execute("INSERT OR IGNORE INTO bindings VALUES (?, ?, ?, ?)", resource, role, kind, subject)
        )

    def unbind(self, resource: str, role: str, kind: str, subject: str) -> bool:
        """Remove a binding; False where there was none."""
        where = "DELETE FROM bindings WHERE resource = ? AND role = ? AND kind = ? AND subject = ?"
        return bool(self.store.execute(where, resource, role, kind, subject))

    def authorize(self, principal: str, service: str, wanted: str, *places: str) -> None:
        """Raise PERMISSION_DENIED unless a role on one of the places (resource, folder, cloud) allows the verb."""
        for place in places:
            for role, _, subject in self.bindings(place):
                everybody = subject == "allUsers" or (principal and subject == "allAuthenticatedUsers")
                if (everybody or subject == principal) and roles.permits(role, service, wanted):
                    return
        role = roles.needed(service, wanted)
        where = places[-2] if len(places) > 1 else places[-1]
        said = f"Permission denied: {principal} lacks the role {role} in {where} for {service} ({wanted})"
        raise ApiError(Code.PERMISSION_DENIED, said)
