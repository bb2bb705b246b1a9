"""Rotation of stored keys, a step at a time: what others trust is trusted in both its forms before it is used.

A stored key is a dictionary of entries. Beside those in use it may hold `next_…` (trusted, not yet used) and `previous_…`
(still trusted, no longer used), so that a rotation that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets

from . import keys
from .declaration import Fail
from .values import seconds

NEXT, PREVIOUS, UNTIL = "next_", "previous_", "previous_until"
GRACE = "24h"
API_KEY_BYTES = 30  # 40 characters


def api_key():
    """A random key that a client shows: {api_key}."""
    return {"api_key": secrets.token_urlsafe(API_KEY_BYTES)}


def hashes(entries):
    """What may be known of an API key: the SHA-256 of the one in use; with the old one of a grace time, its and its end."""
    known = [(entries["api_key"], "")]
    if entries.get(PREVIOUS + "api_key"):
        known.append((entries[PREVIOUS + "api_key"], " " + entries[UNTIL]))
    return [hashlib.sha256(key.encode()).hexdigest() + until for key, until in known]


def plain(entries):
    """Only what is in use."""
    return {name: text for name, text in entries.items() if not name.startswith((NEXT, PREVIOUS))}


def in_progress(entries):
    """Whether a rotation has begun and still wants steps. The old API key of a grace time ends by itself."""
    return UNTIL not in entries and plain(entries) != entries


def trusted(entries, name):
    """What others have to trust of a stored pair, by its part in a rotation: {current, next, previous}, those that exist.

    `name` is the public entry, `certificate` or `public_key`.
    """
    parts = {"current": name, "next": NEXT + name, "previous": PREVIOUS + name}
    return {part: entries[place] for part, place in parts.items() if entries.get(place)}


def pair_step(entries, make):
    """The next of three steps for a pair that others trust, an SSH key or a CA: new entries, and why.

    `make` makes a fresh pair. One: it is trusted beside the old one. Two: it is used, the old one is still trusted.
    Three: the old one is trusted no longer.
    """
    used = plain(entries)
    if NEXT + "private_key" in entries:
        old = {PREVIOUS + name: text for name, text in used.items() if name != "private_key"}
        return {name: entries[NEXT + name] for name in used} | old, "step 2 of 3: the new one is used, both are trusted"
    if used != entries:
        return used, "step 3 of 3: the old one is trusted no longer"
    return used | {NEXT + name: text for name, text in make().items()}, "step 1 of 3: a new one is trusted beside it"


def api_key_step(entries, grace, at=None):
    """A new API key, the old one good for `grace` more (`24h`), in one step: new entries, and why."""
    until = (at or keys.now()) + datetime.timedelta(seconds=seconds("grace", grace))
    shown = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    return api_key() | {
        "previous_api_key": entries["api_key"],
        UNTIL: shown,
    }, f"rotated; the old one is good until {shown}"


def step(name, key, entries):
    """The next step of rotating the stored key that is declared so: new entries, and why.

    Certificates are none of them: their CA makes them anew. Raises Fail where a duration cannot be read.
    """
    if key["kind"] == "api_key":
        return api_key_step(entries, key.get("grace", GRACE))
    if key["kind"] in MAKERS:
        return pair_step(entries, lambda: MAKERS[key["kind"]](name, key))
    raise Fail(f"rotate: {name} is of kind {key['kind']}, which has no rotation of its own")


MAKERS = {
    "ssh": lambda name, key: keys.ssh_pair(name),
    "ca": lambda name, key: keys.authority(key.get("common_name") or name),
    "api_key": lambda name, key: api_key(),
}
