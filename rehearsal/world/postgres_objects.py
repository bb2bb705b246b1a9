"""What the cloud's API makes inside a PostgreSQL server: users, databases, extensions, who may connect where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal

from rehearsal.cloud.services.postgresql_content import PRODUCT_ROLES
from rehearsal.world import WorldError

SYSTEM_DATABASES = ("postgres", "template1")
# fmt: off
EXTENSIONS = frozenset(
    {
        "amcheck", "bloom", "btree_gin", "btree_gist", "citext", "cube", "dblink", "dict_int", "dict_xsyn",
        "earthdistance", "fuzzystrmatch", "hstore", "hypopg", "intarray", "isn", "lo", "ltree", "moddatetime",
        "pg_buffercache", "pg_prewarm", "pg_stat_statements", "pg_trgm", "pgcrypto", "pgrowlocks", "pgstattuple",
        "postgres_fdw", "seg", "tablefunc", "tsm_system_rows", "tsm_system_time", "unaccent", "uuid-ossp", "xml2",
    }
)
# fmt: on
DEFAULT_LOCALE = "C"


def prepare(connection: Connection) -> None:
    """What every cluster has before its first user. Idempotent."""
    for role, member_of in PRODUCT_ROLES.items():
        if not _exists(connection, "pg_roles", "rolname", role):
            replication = SQL("REPLICATION" if role == "mdb_replication" else "NOREPLICATION")
            connection.execute(SQL("CREATE ROLE {} NOLOGIN {}").format(Identifier(role), replication))
        if member_of:
            connection.execute(SQL("GRANT {} TO {}").format(Identifier(member_of), Identifier(role)))
    for database in SYSTEM_DATABASES:
        connection.execute(SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(Identifier(database)))


# ---- users ----
def put_user(connection: Connection, user: Any, settings: Mapping[str, str], verifier: str | None) -> None:
    """Make a user what the message says, all of it or nothing. `verifier` is None where the password stays."""
    name = Identifier(user.name)
    can_login = not user.HasField("login") or user.login.value
    with connection.transaction():
        if not _exists(connection, "pg_roles", "rolname", user.name):
            connection.execute(SQL("CREATE ROLE {}").format(name))
        words = [
            SQL("LOGIN" if can_login else "NOLOGIN"),
            SQL("NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS INHERIT CONNECTION LIMIT {}").format(
                Literal(user.conn_limit or -1)
            ),
            SQL("REPLICATION" if "mdb_replication" in user.grants else "NOREPLICATION"),
        ]
        if verifier:
            words.append(SQL("PASSWORD {}").format(Literal(verifier)))
        connection.execute(SQL("ALTER ROLE {} WITH {}").format(name, SQL(" ").join(words)))
        connection.execute(SQL("ALTER ROLE {} RESET ALL").format(name))
        for setting, value in settings.items():
            connection.execute(SQL("ALTER ROLE {} SET {} = {}").format(name, Identifier(setting), Literal(value)))
        _sync_grants(connection, user.name, set(user.grants))


def _sync_grants(connection: Connection, user: str, wanted: set[str]) -> None:
    query = (
        "SELECT granted.rolname FROM pg_auth_members AS membership JOIN pg_roles AS granted ON granted.oid = roleid "
        "JOIN pg_roles AS member ON member.oid = membership.member WHERE member.rolname = %s"
    )
    present = {row[0] for row in connection.execute(query, [user])}
    for role in sorted(wanted - present):
        if role.startswith("pg_") or role == "postgres":
            raise WorldError(f"user {user}: grants: {role} cannot be granted; {', '.join(PRODUCT_ROLES)} or a user can")
        connection.execute(SQL("GRANT {} TO {}").format(Identifier(role), Identifier(user)))
    for role in sorted(present - wanted):
        connection.execute(SQL("REVOKE {} FROM {}").format(Identifier(role), Identifier(user)))


def hand_over(connection: Connection, user: str) -> None:
    """Give what a user owns in the connection's database to the database's owner, and take the user's rights away."""
    query = "SELECT rolname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE datname = current_database()"
    owner = connection.execute(query).fetchone()[0]
    connection.execute(SQL("REASSIGN OWNED BY {} TO {}").format(Identifier(user), Identifier(owner)))
    connection.execute(SQL("DROP OWNED BY {}").format(Identifier(user)))


def drop_user(connection: Connection, user: str) -> None:
    connection.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(user)))


def user_exists(connection: Connection, user: str) -> bool:
    return _exists(connection, "pg_roles", "rolname", user)


# ---- databases ----
def put_database(connection: Connection, database: Any) -> None:
    """Make a database and its owner what the message says. Its locale is fixed when it is made."""
    name, owner = Identifier(database.name), Identifier(database.owner)
    if not _exists(connection, "pg_database", "datname", database.name):
        connection.execute(
            SQL(
                "CREATE DATABASE {} OWNER {} TEMPLATE {} ENCODING 'UTF8' LC_COLLATE {} LC_CTYPE {} "
                "ALLOW_CONNECTIONS false"
            ).format(
                name,
                owner,
                Identifier(database.template_db or "template0"),
                Literal(database.lc_collate or DEFAULT_LOCALE),
                Literal(database.lc_ctype or DEFAULT_LOCALE),
            )
        )
    # PostgreSQL lets everybody in by default: nobody enters before that is taken back.
    connection.execute(SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
    connection.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    connection.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))


def drop_database(connection: Connection, database: str) -> None:
    connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(database)))


def databases(connection: Connection) -> list[str]:
    """The databases that the cloud's API made."""
    query = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"
    return [row[0] for row in connection.execute(query)]


def sync_extensions(connection: Connection, database: Any) -> None:
    """Make the extensions of the connection's database those of the message."""
    wanted = {extension.name: extension.version for extension in database.extensions}
    if unknown := sorted(wanted.keys() - EXTENSIONS):
        raise WorldError(f"database {database.name}: a rehearsal has no extension {', '.join(unknown)}")
    present = {row[0] for row in connection.execute("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'")}
    with connection.transaction():
        for name in sorted(present - wanted.keys()):
            connection.execute(SQL("DROP EXTENSION {}").format(Identifier(name)))
        for name in wanted:
            if name not in present:
                version = SQL(" VERSION {}").format(Literal(wanted[name])) if wanted[name] else SQL("")
                connection.execute(SQL("CREATE EXTENSION {}{}").format(Identifier(name), version))


# ---- who may connect ----
def sync_permissions(connection: Connection, users: Iterable[Any]) -> None:
    """Let each user connect to the databases of their permissions, and to no other. (Owners always may.)"""
    wanted = {(user.name, p.database_name) for user in users for p in user.permissions}
    query = (
        "SELECT rolname, datname FROM pg_database, aclexplode(datacl) AS acl JOIN pg_roles ON pg_roles.oid = acl.grantee "
        "WHERE acl.privilege_type = 'CONNECT' AND acl.grantee <> datdba AND NOT datistemplate"
    )
    present = {(row[0], row[1]) for row in connection.execute(query)}
    known = set(databases(connection))
    for user, database in sorted(wanted - present):
        if database in known and user_exists(connection, user):
            _permit(connection, "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", database, user)
    for user, database in sorted(present - wanted):
        _permit(connection, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM {}", database, user)


def _permit(connection: Connection, statement: str, database: str, user: str) -> None:
    connection.execute(SQL(statement).format(Identifier(database), Identifier(user)))


def _exists(connection: Connection, table: str, column: str, value: str) -> bool:
    query = SQL("SELECT 1 FROM {} WHERE {} = %s").format(Identifier(table), Identifier(column))
    return connection.execute(query, [value]).fetchone() is not None
