"""A job's own token becomes an IAM token, by real HTTP; and what is said where it does not."""

from __future__ import annotations

import pytest
from token_exchange import SUBJECT, Exchange

from stagecraft import federation, target
from stagecraft.stages import Refused, Stage
from stagecraft.target import Where

ACCOUNT = "aje0123456789abcdefg"


@pytest.fixture
def exchange(monkeypatch, tmp_path):
    for name in (*target.CREDENTIALS, federation.GITLAB, federation.GITHUB, "YC_ROOT_CERTIFICATES"):
        monkeypatch.delenv(name, raising=False)
    service = Exchange(ACCOUNT, lambda account: f"t1.{account}")
    monkeypatch.setenv("STAGECRAFT_STATE", str(tmp_path))  # no rehearsal is up there
    monkeypatch.setenv("YC_TOKEN_EXCHANGE", service.url)
    monkeypatch.setenv(federation.ACCOUNT, ACCOUNT)
    yield service
    service.stop()


def test_a_job_of_gitlab_becomes_its_account(exchange, monkeypatch):
    monkeypatch.setenv(federation.GITLAB, exchange.token())
    assert target.target_of(Stage("partners")).variables == {"YC_IAM_TOKEN": f"t1.{ACCOUNT}"}


def test_a_job_of_github_asks_for_its_token_first(exchange, monkeypatch):
    monkeypatch.setenv(federation.GITHUB, exchange.url + "?api-version=2.0")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "asked")
    assert federation.credentials() == {"YC_IAM_TOKEN": f"t1.{ACCOUNT}"}
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "guessed")
    with pytest.raises(
        Refused, match="GitHub gave this job no token: Bad credentials. The job needs `id-token: write`"
    ):
        federation.credentials()


@pytest.mark.parametrize(("name", "value"), [("YC_IAM_TOKEN", "t1.given"), ("YC_SERVICE_ACCOUNT_KEY_FILE", "key.json")])
def test_credentials_that_are_given_are_taken_as_they_are(exchange, monkeypatch, name, value):
    monkeypatch.setenv(federation.GITLAB, exchange.token())
    monkeypatch.setenv(name, value)
    assert target.target_of(Stage("partners"), Where.CLOUD).variables == {}
    assert exchange.granted == 0


@pytest.mark.parametrize(("claims", "says"), [
    ({"sub": "project_path:other/fork:ref_type:branch:ref:main"}, "no federated credential has this subject"),
    ({"aud": "https://elsewhere.example.com"}, "invalid_grant: Audience doesn't match"),
])  # fmt: skip
def test_a_token_that_is_not_trusted_is_shown_by_what_it_says_of_the_job(exchange, monkeypatch, claims, says):
    token = exchange.token(**claims)
    monkeypatch.setenv(federation.GITLAB, token)
    with pytest.raises(Refused) as refused:
        federation.credentials()
    message = str(refused.value)
    assert says in message and ACCOUNT in message and f"sub {claims.get('sub', SUBJECT)!r}" in message
    assert token not in message and token.split(".")[2] not in message  # who has it could still use it


def test_a_text_that_is_no_token_at_all(exchange, monkeypatch):
    monkeypatch.setenv(federation.GITLAB, "nonsense")
    with pytest.raises(Refused, match="the job's token is no JSON Web Token"):
        federation.credentials()


def test_the_account_has_to_be_named(exchange, monkeypatch):
    monkeypatch.setenv(federation.GITLAB, exchange.token())
    monkeypatch.delenv(federation.ACCOUNT)
    with pytest.raises(Refused, match="YC_SERVICE_ACCOUNT_ID does not say which account it may become"):
        federation.credentials()


def test_nobody_there(exchange, monkeypatch):
    monkeypatch.setenv(federation.GITLAB, exchange.token())
    monkeypatch.setenv("YC_TOKEN_EXCHANGE", "http://127.0.0.1:9/oauth/token")
    with pytest.raises(Refused, match="http://127.0.0.1:9/oauth/token does not answer: .*Run the job again"):
        federation.credentials()
