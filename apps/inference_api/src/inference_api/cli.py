"""The command: serve, migrate, keys, check-config, gateway."""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from datetime import datetime
from typing import NoReturn

from inference_api import keys, listed_keys, server
from inference_api.settings import PREFIX, ConfigError, Settings, load, read


def parser() -> argparse.ArgumentParser:
    """The command line; settings come from the environment (INFERENCE_API_…), secrets from files and stdin."""
    top = argparse.ArgumentParser(prog="inference-api", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer predictions until SIGTERM")
    migrating = commands.add_parser("migrate", help="bring the database schema up to date")
    migrating.add_argument("--check", action="store_true", help="only say what would change")
    commands.add_parser("check-config", help="check the settings and the files they name")
    gateway = commands.add_parser(
        "gateway", help="print the OpenAPI document of an API gateway in front of a container"
    )
    gateway.add_argument("container", help="its id")
    gateway.add_argument("service_account", help="the id of the account that may invoke it")
    key_commands = commands.add_parser("keys", help="API keys").add_subparsers(dest="keys_command", required=True)
    setting = key_commands.add_parser("set", help="read a key from stdin and store its hash under a name")
    setting.add_argument("name")
    hashing = key_commands.add_parser("hash", help="read a key from stdin and print its entry for the setting keys")
    for command in (setting, hashing):
        command.add_argument(
            "--expires", type=datetime.fromisoformat, help="a time with its zone, as 2027-01-31T00:00:00Z"
        )
    hashing.add_argument("name")
    setting.add_argument(
        "--previous-until",
        type=datetime.fromisoformat,
        help="a second line of stdin is the key until now, which goes on working until this time",
    )
    setting.add_argument("--check", action="store_true", help="only say what would change")
    key_commands.add_parser("list", help="names, times and states, as JSON lines")
    key_commands.add_parser("revoke", help="disable a key").add_argument("name")
    return top


def main() -> NoReturn:
    """Run the command; exit code 1 with one message where it cannot be done, 2 for wrong settings."""
    arguments = parser().parse_args()
    try:
        if arguments.command == "keys" and arguments.keys_command == "hash":
            print(listed_keys.entry(arguments.name, read_key(), arguments.expires))
        elif arguments.command == "gateway":
            from inference_api.gateway import document

            print(json.dumps(document(arguments.container, arguments.service_account), indent=1))
        else:
            run(arguments, load())
    except ConfigError as error:
        fail(2, str(error))
    except keys.KeyRefusedError as error:
        fail(1, str(error))
    sys.exit(0)


def fail(code: int, message: str) -> NoReturn:
    """Say why and end."""
    print(f"inference-api: {message}", file=sys.stderr)
    sys.exit(code)


def read_key() -> bytes:
    """A key, from stdin."""
    if sys.stdin.isatty():
        print("key: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.buffer.readline().strip()


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """One command."""
    match arguments.command:
        case "serve":
            check(settings)
            server.serve(settings)
        case "check-config":
            check(settings)
            print(settings.model_dump_json(indent=2))
        case _:
            run_with_database(arguments, settings)


def run_with_database(arguments: argparse.Namespace, settings: Settings) -> None:
    """The commands about what PostgreSQL holds. What changed something says `changed`, so that callers can tell."""
    if settings.store != "postgresql":
        raise ConfigError(
            f"store is {settings.store}: there is no database; keys come from the setting keys or keys_file"
        )
    import psycopg

    from inference_api import database

    try:
        if arguments.command == "migrate":
            applied = database.migrate(settings, check=arguments.check)
            print("\n".join(f"changed: applied {name}" for name in applied) or "the schema is up to date")
        else:
            run_keys(arguments, settings)
    except psycopg.Error as error:
        fail(1, f"PostgreSQL: {' '.join(str(error).split())}")


def run_keys(arguments: argparse.Namespace, settings: Settings) -> None:
    """The commands about API keys."""
    from inference_api import database_keys

    match arguments.keys_command:
        case "set":
            key, until = read_key(), arguments.previous_until
            previous = (sys.stdin.buffer.readline().strip(), until) if until else None
            changed = database_keys.set_key(
                settings, arguments.name, key, arguments.expires, previous=previous, check=arguments.check
            )
            print(f"{'changed' if changed else 'unchanged'}: key of {arguments.name}")
        case "revoke":
            changed = database_keys.revoke(settings, arguments.name)
            print(f"{'changed' if changed else 'unchanged'}: key of {arguments.name}")
        case "list":
            for entry in database_keys.listed(settings):
                print(json.dumps(entry, default=str))


def check(settings: Settings) -> None:
    """ConfigError where a file cannot be read or is not what it should be."""
    for field, path in settings.files().items():
        read(path, field)
    if settings.store == "objects":
        listed_keys.listed(settings)
    if settings.s3 and settings.storage_ca:
        try:
            ssl.create_default_context(cadata=settings.storage_ca)
        except ssl.SSLError as error:
            raise ConfigError(f"{PREFIX}STORAGE_CA holds no certificates in PEM form: {error}") from error
    if settings.urls():
        from inference_api.objects import Objects

        for url in settings.urls().values():
            Objects(url, settings)
    for prefix in ("tls", "triton"):
        certificate = getattr(settings, f"{prefix}_certificate_file")
        key = getattr(settings, f"{prefix}_key_file")
        if f"{prefix}_certificate_file" not in settings.files():
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            raise ConfigError(f"{certificate} and {key} are not a certificate and its key: {error}") from error
    for field in ("database_ca_file", "triton_ca_file", "storage_ca_file"):
        if field not in settings.files():
            continue
        try:
            ssl.create_default_context(cafile=getattr(settings, field))
        except ssl.SSLError as error:
            raise ConfigError(f"{getattr(settings, field)} holds no certificates: {error}") from error
