"""The cloud's settings in PostgreSQL's own spelling."""

from __future__ import annotations

import pytest
from yandex.cloud.mdb.postgresql.v1.config.postgresql15_pb2 import PostgresqlConfig15
from yandex.cloud.mdb.postgresql.v1.user_pb2 import UserSettings

from rehearsal.world import WorldError, postgres_settings
from rehearsal.world.postgres_host import configuration
from rehearsal.world.postgres_settings import Parameter

KNOWN = {
    "work_mem": Parameter("work_mem", "kB"),
    "max_wal_size": Parameter("max_wal_size", "MB"),
    "log_temp_files": Parameter("log_temp_files", "kB"),
    "checkpoint_timeout": Parameter("checkpoint_timeout", "s"),
    "log_min_duration_statement": Parameter("log_min_duration_statement", "ms"),
    "max_connections": Parameter("max_connections"),
    "jit": Parameter("jit"),
    "timezone": Parameter("TimeZone"),
    "synchronous_commit": Parameter("synchronous_commit", "", ("local", "remote_write", "remote_apply", "on", "off")),
    "default_transaction_isolation": Parameter(
        "default_transaction_isolation", "", ("serializable", "repeatable read", "read committed", "read uncommitted")
    ),
    "auto_explain.log_analyze": Parameter("auto_explain.log_analyze"),
}


def server(**settings: object) -> dict[str, str]:
    config = PostgresqlConfig15()
    for name, value in settings.items():
        if hasattr(getattr(config, name), "value"):
            getattr(config, name).value = value
        elif isinstance(value, list):
            getattr(config, name).extend(value)
        else:
            setattr(config, name, value)
    return postgres_settings.server(config, KNOWN)


@pytest.mark.parametrize(
    ("name", "value", "spelled"),
    [
        ("work_mem", 8 << 20, {"work_mem": "8388608B"}),
        ("max_wal_size", 1 << 30, {"max_wal_size": "1073741824B"}),
        ("log_temp_files", 64, {"log_temp_files": "64kB"}),
        ("checkpoint_timeout", 300_000, {"checkpoint_timeout": "300000ms"}),
        ("log_min_duration_statement", -1, {"log_min_duration_statement": "-1"}),
        ("log_min_duration_statement", 0, {"log_min_duration_statement": "0"}),
        ("max_connections", 150, {"max_connections": "150"}),
        ("jit", False, {"jit": "off"}),
        ("timezone", "Europe/Moscow", {"TimeZone": "Europe/Moscow"}),
        ("synchronous_commit", PostgresqlConfig15.SYNCHRONOUS_COMMIT_ON, {"synchronous_commit": "on"}),
        (
            "synchronous_commit",
            PostgresqlConfig15.SYNCHRONOUS_COMMIT_REMOTE_WRITE,
            {"synchronous_commit": "remote_write"},
        ),
        ("auto_explain_log_analyze", True, {"auto_explain.log_analyze": "on"}),
    ],
)
def test_units_and_words(name, value, spelled):
    libraries = {"shared_preload_libraries": "pg_stat_statements, auto_explain"}
    assert server(**{name: value}) == {**spelled, **libraries}


def test_a_user_s_settings_and_none_of_the_pooler_s():
    settings = UserSettings(
        default_transaction_isolation=UserSettings.TRANSACTION_ISOLATION_READ_COMMITTED, pool_mode=UserSettings.SESSION
    )
    assert postgres_settings.user(settings, KNOWN) == {"default_transaction_isolation": "read committed"}


def test_a_setting_that_the_server_lacks_is_named():
    with pytest.raises(WorldError, match="pg_hint_plan_enable_hint: this PostgreSQL has no such setting"):
        server(pg_hint_plan_enable_hint=True)


def test_libraries_that_the_image_lacks_are_named():
    prewarm = PostgresqlConfig15.SHARED_PRELOAD_LIBRARIES_PG_PREWARM
    assert server(shared_preload_libraries=[prewarm])["shared_preload_libraries"].endswith(", pg_prewarm")
    with pytest.raises(WorldError, match="not timescaledb"):
        server(shared_preload_libraries=[PostgresqlConfig15.SHARED_PRELOAD_LIBRARIES_TIMESCALEDB])


def test_a_quote_in_a_value_ends_nothing():
    assert b"search_path = 'a'' ; port = 1'" in configuration({"search_path": "a' ; port = 1"})
