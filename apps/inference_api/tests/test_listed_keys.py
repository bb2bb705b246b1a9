"""API keys without a database: hashes in a setting or a file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bucket import Bucket
from inference_api.listed_keys import listed
from inference_api.settings import ConfigError, load
from process import KEY, Api, command, until
from test_recovery import ROW

OTHER = KEY[::-1]


def entry(name: str, key: str, *options: str) -> str:
    """What the command makes of a key; it needs no settings."""
    return command({}, "keys", "hash", name, *options, stdin=key + "\n").stdout.strip()


def code(api: Api, key: str) -> int:
    return api.client.post(
        "/v1/predict/digits", json={"inputs": ROW}, headers={"authorization": f"Bearer {key}"}
    ).status_code


def test_a_file_of_keys_is_read_again(alone: Api, published: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# who may ask\n{entry('alice', KEY)}  # until she leaves\n")
    del alone.environment["INFERENCE_API_KEYS"]
    alone.start(keys_file=path).ready()
    assert (code(alone, KEY), code(alone, OTHER)) == (200, 401)
    path.write_text(f"{entry('alice', KEY)}\n{entry('bob', OTHER)}\n")
    until(lambda: code(alone, OTHER) == 200, 5)
    path.write_text(f"{entry('bob', OTHER)}\nnonsense\n")
    until(lambda: "entry 2 is not `NAME SHA256 [EXPIRES]`" in alone.log.read_text(), 5)
    assert code(alone, KEY) == 200, "a broken file changes nothing"
    path.write_text(entry("bob", OTHER))
    until(lambda: code(alone, KEY) == 401, 5)
    until(lambda: {row["client"] for row in published.rows()} == {"alice", "bob"})


def test_a_key_ends_when_it_expires(alone_environment: dict[str, str]) -> None:
    text = ", ".join([entry("gone", KEY, "--expires", "2001-01-01T00:00:00Z"), entry("here", OTHER)])
    clients = listed(load({**alone_environment, "INFERENCE_API_KEYS": text}))
    assert {client.name: client.expires > time.time() for client in clients.values()} == {"gone": False, "here": True}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (KEY, "entry 1 is not `NAME SHA256"),
        ("alice " + "0" * 63, "entry 1 is not `NAME SHA256"),
        ("alice " + "0" * 64 + ",bob " + "0" * 64, "entry 2 is the key of alice too"),
        ("alice " + "0" * 64 + " tomorrow", "tomorrow is not a time"),
        ("alice " + "0" * 64 + " 2027-01-01T00:00:00", "has no zone"),
        ("# nobody", "lists no key"),
    ],
)
def test_a_list_that_is_wrong_is_refused_at_the_start(alone_environment: dict[str, str], text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="INFERENCE_API_KEYS") as caught:
        listed(load({**alone_environment, "INFERENCE_API_KEYS": text}))
    assert words in str(caught.value) and KEY not in str(caught.value)


@pytest.mark.parametrize(("name", "key", "words"), [("a b", KEY, "nor hold spaces"), ("a", "short", "at least 32")])
def test_keys_that_are_refused(name: str, key: str, words: str) -> None:
    done = command({}, "keys", "hash", name, stdin=key, check=False)
    assert done.returncode == 1 and words in done.stderr


def test_what_needs_a_database_says_so(alone_environment: dict[str, str]) -> None:
    for arguments in (("migrate",), ("keys", "list")):
        done = command(alone_environment, *arguments, check=False)
        assert done.returncode == 2 and "store is objects: there is no database" in done.stderr
    assert '"storage_secret_key":null' in command(alone_environment, "check-config").stdout.replace(" ", "")
    wrong = {**alone_environment, "INFERENCE_API_KEYS": "alice"}
    done = command(wrong, "check-config", check=False)
    assert done.returncode == 2 and "entry 1 is not" in done.stderr and len(done.stderr.splitlines()) == 1
