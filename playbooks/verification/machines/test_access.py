"""Who is let in: SSH with the stage's key only, the database with its password only."""

import subprocess

import pytest
from conftest import API_PYTHON

CONNECT = """
import psycopg
try:
    tls = {"sslmode": "verify-full", "sslrootcert": "/etc/ssl/certs/ca-certificates.crt"}
    with psycopg.connect(**given, **tls, connect_timeout=10) as connection:
        answer = connection.execute("select current_user, rolsuper from pg_roles where rolname = current_user").fetchone()
except psycopg.OperationalError as error:
    answer = ["refused", str(error)]
print(json.dumps(answer))
"""


def database(stage, **more):
    facts = stage.facts["database"]
    return {"host": facts["host"], "port": facts["port"], "dbname": facts["name"], "user": facts["user"], **more}


def test_the_database_takes_the_right_password_and_gives_no_superuser(stage):
    backend = stage.machines("backend")[0]
    given = database(stage, password=stage.secret("database", "password"))
    assert stage.ask(backend, CONNECT, given, API_PYTHON) == [given["user"], False]


def test_the_database_refuses_a_wrong_password(stage):
    backend = stage.machines("backend")[0]
    outcome, reason = stage.ask(backend, CONNECT, database(stage, password="not the password"), API_PYTHON)  # noqa: S106
    assert outcome == "refused" and "password authentication failed" in reason


@pytest.mark.parametrize("login", ["root", "stagecraft"])
def test_ssh_refuses_a_login_without_the_stages_key(stage, login):
    name = stage.machines("bastion")[0]
    done = subprocess.run(
        ["ssh", "-F", stage.facts["ssh_config"], "-o", "PubkeyAuthentication=no", "-o", "ControlPath=none",
         "-o", "BatchMode=yes", "-l", login, name, "true"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 255 and "Permission denied (publickey)" in done.stderr


def test_ssh_refuses_root_even_with_the_stages_key(stage):
    name = stage.machines("bastion")[0]
    done = subprocess.run(
        ["ssh", "-F", stage.facts["ssh_config"], "-o", "ControlPath=none", "-o", "BatchMode=yes",
         "-l", "root", name, "true"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 255 and "Permission denied" in done.stderr
