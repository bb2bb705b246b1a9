"""Who may call: keys, tokens, roles, certificates."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import grpc
import jwt
import pytest
import requests
from cloud_client import Client, Failed

from rehearsal.cloud import metadata, tls
from rehearsal.cloud.bootstrap import key_pair

Code = grpc.StatusCode


def account_key(emulator) -> dict:
    return json.loads(Path(emulator.env["YC_SERVICE_ACCOUNT_KEY_FILE"]).read_text())


def signed(emulator, **claims) -> str:
    key, now = account_key(emulator), int(time.time())
    claims = {
        "iss": key["service_account_id"],
        "aud": f"https://iam.{emulator.address}/iam/v1/tokens",
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    return jwt.encode(claims, key["private_key"], algorithm="PS256", headers={"kid": key["id"]})


def networks(client) -> list[str]:
    return [n.name for n in client.api("vpc.v1.Network").List(folder_id=client.folder).networks]


def refusal(call) -> Failed:
    with pytest.raises(Failed) as caught:
        call()
    return caught.value


def test_a_key_of_somebody_else_is_refused(emulator):
    forged = account_key(emulator) | {"private_key": key_pair()[0]}
    client = Client(emulator.env, service_account_key=forged)
    # The SDK reports a refused token exchange as UNAVAILABLE with the server's words.
    assert "Signature verification failed" in refusal(lambda: networks(client)).message


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://elsewhere/iam/v1/tokens"}, "Audience"),
        ({"exp": 1_600_000_000, "iat": 1_600_000_000 - 3600}, "expired"),
        ({"exp": int(time.time()) + 90_000}, "longer than 3600 seconds"),
        ({"iss": "ajesomebodyelse00000"}, "issuer"),
    ],
)
def test_a_wrong_jwt_is_refused(emulator, client, claims, reason):
    tokens = client.api("iam.v1.IamToken")
    assert tokens.Create(jwt=signed(emulator)).iam_token.startswith("t1.")
    error = refusal(lambda: tokens.Create(jwt=signed(emulator, **claims)))
    assert error.code is Code.UNAUTHENTICATED and reason.lower() in error.message.lower()


def test_only_living_tokens_are_accepted(emulator, client):
    token = client.api("iam.v1.IamToken").Create(jwt=signed(emulator)).iam_token
    assert networks(Client(emulator.env, iam_token=token)) == []
    assert refusal(lambda: networks(Client(emulator.env, iam_token="t1.invented"))).code is Code.UNAUTHENTICATED
    emulator.cloud.identity.token_life = -1
    old = client.api("iam.v1.IamToken").Create(jwt=signed(emulator)).iam_token
    error = refusal(lambda: networks(Client(emulator.env, iam_token=old)))
    assert error.code is Code.UNAUTHENTICATED and "expired" in error.message


def test_oauth_and_metadata_give_tokens(emulator, monkeypatch):
    oauth = (emulator.folder / "oauth.token").read_text()
    assert networks(Client(emulator.env, token=oauth)) == []
    assert "invalid" in refusal(lambda: networks(Client(emulator.env, token="y0_other"))).message
    accounts = {"127.0.0.1": account_key(emulator)["service_account_id"]}
    service = metadata.Service(emulator.cloud.identity.grant, accounts.get, socket.create_server(("127.0.0.1", 0)))
    url, flavor = "http://{}:{}".format(*service.server_address) + metadata.TOKEN, {"Metadata-Flavor": "Google"}
    service.start()
    try:
        answer = requests.get(url, headers=flavor, timeout=5).json()
        assert networks(Client(emulator.env, iam_token=answer["access_token"])) == []
        assert requests.get(url, timeout=5).status_code == 403
        accounts.clear()
        assert requests.get(url, headers=flavor, timeout=5).status_code == 404
    finally:
        service.stop()


def test_the_certificate_is_checked(emulator, tmp_path):
    other = tls.authority(tmp_path / "other")
    client = Client(emulator.env | {"YC_ROOT_CERTIFICATES": str(other)}, iam_token="t1.any")
    with pytest.raises(grpc.RpcError, match="CERTIFICATE_VERIFY_FAILED"):
        networks(client)


def test_certificates_are_kept_until_they_change(tmp_path):
    certificate, key = tls.issue(tmp_path, ["db.mdb.yandexcloud.net", "10.0.0.5"])
    first = certificate.read_bytes()
    assert tls.issue(tmp_path, ["db.mdb.yandexcloud.net", "10.0.0.5"])[0].read_bytes() == first
    assert tls.issue(tmp_path, ["db.mdb.yandexcloud.net"])[0].read_bytes() != first
    assert key.stat().st_mode & 0o777 == 0o600
