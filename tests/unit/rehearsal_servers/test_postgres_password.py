"""A password's verifier, against the example of the standard and PostgreSQL's own client."""

from __future__ import annotations

import base64
import hashlib
import hmac

import psycopg.pq

from rehearsal.world.postgres_password import scram_verifier


def test_the_example_of_rfc_7677():
    """Its server signature, computed from the verifier's ServerKey over the example's messages, must come out."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    server_key = base64.b64decode(scram_verifier("pencil", salt).rpartition(":")[2])
    messages = (
        "n=user,r=rOprNGfwEbeRWgbNEkqO,"
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = base64.b64encode(hmac.digest(server_key, messages.encode(), hashlib.sha256)).decode()
    assert signature == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_libpq_makes_the_same_of_the_same_salt():
    """Also for letters that have to be normalised first."""
    unconnected = psycopg.pq.PGconn.connect_start(b"host=/nonexistent")
    for password in ("plain-ascii", "Pässwörd", "\u2168 \u00a0 \u00adsoft"):
        made = unconnected.encrypt_password(password.encode(), b"user", b"scram-sha-256").decode()
        salt = base64.b64decode(made.split("$")[1].partition(":")[2])
        assert scram_verifier(password, salt) == made


def test_two_verifiers_of_one_password_differ():
    assert scram_verifier("same") != scram_verifier("same")
