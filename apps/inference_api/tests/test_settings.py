"""The environment is checked as a whole, with one line a mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from authority import Authority

from inference_api.settings import ConfigError, load
from process import SOURCE, command

ALONE = {
    "ENGINE": "onnxruntime",
    "MODELS_URL": "s3://stage/models",
    "STORE": "objects",
    "PREDICTIONS_URL": "s3://stage/predictions",
    "KEYS": "tester " + "0" * 64,
    "STORAGE_KEY_ID": "id",
    "STORAGE_SECRET_KEY": "not for anybody's eyes",
}
GOOD = {"INFERENCE_API_DATABASE_PASSWORD_FILE": "/run/secret", "HOME": "/", "INFERENCE_API_MODELS": "digits, words"}


def named(settings: dict[str, str]) -> dict[str, str]:
    """As variables; an empty one is not set."""
    return {f"INFERENCE_API_{name}": value for name, value in settings.items() if value}


def refused(base: dict[str, str] = GOOD, **changes: str) -> str:
    """What is said of the good settings with these changes."""
    with pytest.raises(ConfigError) as caught:
        load({**base, **named(changes)})
    return str(caught.value)


def test_good_settings() -> None:
    settings = load(GOOD)
    assert settings.models == ("digits", "words") and settings.port == 8443 and settings.triton_tls


def test_a_platform_says_where_to_listen_unless_the_service_is_told() -> None:
    assert load({**GOOD, "PORT": "8080"}).port == 8080
    assert load({**GOOD, "PORT": "8080", **named({"PORT": "9000"})}).port == 9000


def test_an_unknown_variable_is_told_the_nearest_name() -> None:
    assert (
        refused(WORKRES="2") == "INFERENCE_API_WORKRES: there is no such setting; did you mean INFERENCE_API_WORKERS?"
    )


@pytest.mark.parametrize("names", ["", " , ", "../x", "digits,a b", "digits;words", "x" * 64])
def test_names_that_no_model_can_have_are_refused(names: str) -> None:
    with pytest.raises(ConfigError, match=r"^INFERENCE_API_MODELS: .*no model"):
        load({**GOOD, "INFERENCE_API_MODELS": names})


def test_every_mistake_is_named() -> None:
    lines = refused(PORT="0", WORKERS="many").splitlines()
    assert [line.split(":")[0] for line in lines] == ["INFERENCE_API_PORT", "INFERENCE_API_WORKERS"]


def test_the_password_file_has_no_default() -> None:
    with pytest.raises(ConfigError, match="DATABASE_PASSWORD_FILE: not set"):
        load({})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"LISTEN": "10.0.0.1"}, "only a loopback address"),
        ({"TLS_KEY_FILE": "/k"}, "belong together"),
        ({"TRITON_KEY_FILE": "/k"}, "belong together"),
        ({"TRITON_TLS": "no", "TRITON_ADDRESS": "serving-1:8001"}, "turn TLS on"),
    ],
)
def test_what_would_be_insecure_is_refused(changes: dict[str, str], words: str) -> None:
    assert words in refused(**changes)


def test_a_service_that_needs_only_a_bucket() -> None:
    settings = load(named(ALONE))
    assert (settings.records_batch, settings.records_flush_seconds) == (5000, 30)
    assert settings.storage_secret() == ALONE["STORAGE_SECRET_KEY"]
    assert ALONE["STORAGE_SECRET_KEY"] not in settings.model_dump_json() + repr(settings)
    assert load(named({**ALONE, "RECORDS_BATCH": "7"})).records_batch == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MODELS_URL": ""}, "INFERENCE_API_MODELS_URL='': give an address as s3://BUCKET/PREFIX"),
        ({"MODELS_URL": "https://stage/models"}, "give an address as s3://BUCKET/PREFIX or file:///FOLDER"),
        ({"PREDICTIONS_URL": "s3://"}, "INFERENCE_API_PREDICTIONS_URL='s3://': give an address"),
        ({"KEYS": ""}, "set either keys or keys_file"),
        ({"KEYS_FILE": "/k"}, "set either keys or keys_file"),
        ({"STORAGE_SECRET_KEY": ""}, "either storage_secret_key or storage_secret_key_file"),
        ({"STORAGE_SECRET_KEY_FILE": "/k"}, "either storage_secret_key or storage_secret_key_file"),
        ({"STORAGE_KEY_ID": ""}, "a bucket needs storage_key_id"),
        ({"STORAGE_ENDPOINT": "http://storage.internal"}, "only a loopback address may do without https://"),
        ({"STORAGE_ENDPOINT": "https://storage .internal"}, "INFERENCE_API_STORAGE_ENDPOINT: "),
        ({"STORAGE_KEY_ID": "id\n"}, "INFERENCE_API_STORAGE_KEY_ID: "),
        ({"MODELS_URL": "s3://a b/models"}, "give an address as s3://BUCKET/PREFIX"),
        ({"STORE": "postgresql"}, "DATABASE_PASSWORD_FILE: not set"),
        ({"STORE": "postgresql", "DATABASE_PASSWORD_FILE": "/p"}, "PostgreSQL holds the keys here"),
        ({"LISTEN": "0.0.0.0"}, "where tls_in_front says that a front ends TLS"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, str], words: str) -> None:
    assert words in refused({}, **{**ALONE, **changes})


def test_a_front_that_ends_tls() -> None:
    assert load(named({**ALONE, "LISTEN": "0.0.0.0", "TLS_IN_FRONT": "yes"})).listen == "0.0.0.0"


@pytest.mark.parametrize(
    ("used", "unused"),
    [
        (GOOD, ("fastapi", "onnxruntime", "obstore", "arro3")),
        (named({**ALONE, "MODELS_URL": "file:///tmp"}), ("fastapi", "psycopg", "grpc", "tritonclient", "boto3")),
    ],
)
def test_libraries_that_are_not_used_are_not_loaded(
    used: dict[str, str], unused: tuple[str, ...], tmp_path: Path
) -> None:
    tell = (
        "import sys; from inference_api.worker import create_server_app\n"
        "create_server_app(); print(*{name.partition('.')[0] for name in sys.modules})"
    )
    folder = {"INFERENCE_API_STATE_DIRECTORY": str(tmp_path), "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", tell], env={**used, **folder}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(unused).isdisjoint(done.stdout.split())


def test_who_vouches_for_the_bucket_may_be_a_variable(authority: Authority) -> None:
    text = authority.certificate.read_text()
    missing = {"STORAGE_CA_FILE": "/nonexistent"}  # not read then
    given = {**ALONE, "STORAGE_ENDPOINT": "https://127.0.0.1:1", **missing}
    command(named({**given, "STORAGE_CA": text}), "check-config")
    said = command(named({**given, "STORAGE_CA": text[40:]}), "check-config", check=False)
    assert said.returncode == 2 and "INFERENCE_API_STORAGE_CA holds no certificates" in said.stderr
    assert "INFERENCE_API_STORAGE_CA_FILE" in command(named(given), "check-config", check=False).stderr
