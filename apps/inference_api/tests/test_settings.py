"""The environment is checked as a whole, with one line a mistake."""

from __future__ import annotations

import pytest

from inference_api.settings import ConfigError, load

GOOD = {"INFERENCE_API_DATABASE_PASSWORD_FILE": "/run/secret", "HOME": "/", "INFERENCE_API_MODELS": "digits, words"}


def refused(**changes: str) -> str:
    """What is said of the good settings with these changes."""
    with pytest.raises(ConfigError) as caught:
        load({**GOOD, **{f"INFERENCE_API_{name}": value for name, value in changes.items()}})
    return str(caught.value)


def test_good_settings() -> None:
    settings = load(GOOD)
    assert settings.models == ("digits", "words") and settings.port == 8443 and settings.triton_tls


def test_an_unknown_variable_is_told_the_nearest_name() -> None:
    assert (
        refused(WORKRES="2") == "INFERENCE_API_WORKRES: there is no such setting; did you mean INFERENCE_API_WORKERS?"
    )


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
