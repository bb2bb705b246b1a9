"""Passwords as PostgreSQL keeps them: the server never sees the password itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stringprep
import unicodedata

ITERATIONS = 4096  # PostgreSQL's own choice


def scram_verifier(password: str, salt: bytes = b"") -> str:
    """`SCRAM-SHA-256$…` (RFC 5803), with a random salt of 16 bytes unless one is given."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    spelled = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{spelled[0]}${spelled[1]}:{spelled[2]}"


def _prepared(password: str) -> str:
    """The mapping and normalisation of SASLprep (RFC 4013), as clients do it before they answer."""
    if password.isascii():
        return password
    mapped = (" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    return unicodedata.normalize("NFKC", "".join(mapped))
