"""The command line against a real PostgreSQL."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postgres import Postgres
from process import KEY, command


def test_migrate_twice_and_at_once(environment: dict[str, str], postgres: Postgres, database: str) -> None:
    assert command(environment, "migrate", "--check").stdout.startswith("changed: applied 0001")
    with ThreadPoolExecutor(3) as threads:
        said = list(threads.map(lambda _: command(environment, "migrate").stdout, range(3)))
    assert sorted(said)[0].startswith("changed: applied 0001") and len(set(said)) == 2
    assert command(environment, "migrate").stdout == "the schema is up to date\n"
    assert postgres.query("SELECT count(*) FROM inference_api.migrations", database=database) == [(1,)]


def test_keys(migrated: dict[str, str], postgres: Postgres, database: str) -> None:
    assert command(migrated, "keys", "set", "tester", stdin=KEY).stdout == "unchanged: key of tester\n"
    other = KEY[::-1]
    assert command(migrated, "keys", "set", "tester", "--check", stdin=other).stdout == "changed: key of tester\n"
    assert command(migrated, "keys", "set", "tester", stdin=KEY).stdout == "unchanged: key of tester\n"
    assert command(migrated, "keys", "set", "tester", stdin=other).stdout == "changed: key of tester\n"
    command(migrated, "keys", "set", "guest", "--expires", "2001-01-01T00:00:00+00:00", stdin=KEY)
    assert command(migrated, "keys", "revoke", "tester").stdout == "changed: key of tester\n"
    assert command(migrated, "keys", "revoke", "tester").stdout == "unchanged: key of tester\n"
    entries = [json.loads(line) for line in command(migrated, "keys", "list").stdout.splitlines()]
    assert [(entry["name"], entry["disabled"]) for entry in entries] == [("guest", False), ("tester", True)]
    assert entries[0]["expires"].startswith("2001")
    stored = postgres.query("SELECT api_keys::text FROM inference_api.api_keys", database=database)
    assert KEY not in str(stored) and other not in str(stored)


def test_a_rotated_key_goes_on_working_until_its_end(migrated: dict[str, str]) -> None:
    new, newest = KEY[::-1], KEY.upper()[::-1]
    until = ("--previous-until", "2099-01-01T00:00:00+00:00")
    for key, before in ((new, KEY), (newest, new)):
        rotated = ("keys", "set", "tester", *until)
        assert command(migrated, *rotated, stdin=f"{key}\n{before}").stdout == "changed: key of tester\n"
        assert command(migrated, *rotated, stdin=f"{key}\n{before}").stdout == "unchanged: key of tester\n"
        entries = [json.loads(line) for line in command(migrated, "keys", "list").stdout.splitlines()]
        assert [(entry["name"], (entry["expires"] or "")[:4]) for entry in entries] == [
            ("tester", ""),
            ("tester (previous)", "2099"),
        ]
    done = command(migrated, "keys", "set", "other", stdin=new, check=False)
    assert done.returncode == 1 and "another name" in done.stderr, "the previous key is not known"


@pytest.mark.parametrize(
    ("key", "reason"), [("short", "at least 32"), ("x" * 20 + " " + "x" * 20, "no spaces"), (KEY, "another name")]
)
def test_keys_that_are_refused(migrated: dict[str, str], key: str, reason: str) -> None:
    done = command(migrated, "keys", "set", "other", stdin=key, check=False)
    assert done.returncode == 1 and reason in done.stderr
    assert len(done.stderr.splitlines()) == 1 and key not in done.stderr.replace(reason, "")


def test_a_wrong_password_and_a_server_with_another_name(environment: dict[str, str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not it")
    done = command({**environment, "INFERENCE_API_DATABASE_PASSWORD_FILE": str(wrong)}, "migrate", check=False)
    assert done.returncode == 1 and "password authentication failed" in done.stderr and "not it" not in done.stderr
    done = command({**environment, "INFERENCE_API_DATABASE_HOST": "127.0.0.1"}, "migrate", check=False)
    assert done.returncode == 1 and "does not match host name" in done.stderr


def test_check_config(environment: dict[str, str], tmp_path: Path) -> None:
    shown = json.loads(command(environment, "check-config").stdout)
    assert shown["triton_tls"] is True and shown["database_password_file"].endswith("password")
    nowhere = {**environment, "INFERENCE_API_DATABASE_PASSWORD_FILE": "/nowhere"}
    done = command(nowhere, "check-config", check=False)
    assert done.returncode == 2 and "INFERENCE_API_DATABASE_PASSWORD_FILE=/nowhere: No such file" in done.stderr
    (tmp_path / "other.key").write_bytes(Path(environment["INFERENCE_API_DATABASE_CA_FILE"]).read_bytes())
    mixed = {**environment, "INFERENCE_API_TRITON_KEY_FILE": str(tmp_path / "other.key")}
    done = command(mixed, "check-config", check=False)
    assert done.returncode == 2 and "are not a certificate and its key" in done.stderr


def test_the_command_explains_itself() -> None:
    assert "migrate" in command({}, "--help").stdout
