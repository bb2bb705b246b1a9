"""What the API answers to programs that speak HTTPS and JSON: the same as over gRPC, and the same refusals."""

from __future__ import annotations

import socket
import ssl

import grpc
import pytest
import requests
from google.protobuf import json_format

from rehearsal.cloud import rest

BACKUPS = "managed-postgresql/v1/clusters/{}/backups"


@pytest.fixture
def cluster(client):
    """A cluster with three backups."""
    network = client.network()
    made = client.cluster(network, client.subnet(network))
    for _ in range(2):
        client.api("mdb.postgresql.v1.Cluster").Backup(cluster_id=made.id)
    return made


@pytest.fixture
def account(client):
    return client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="reader")


@pytest.fixture
def get(emulator, account):
    """A function that asks as the account, or with another token; its status and its answer."""

    def ask(path: str, token: str | None = None, **query: object) -> tuple[int, dict]:
        token = emulator.cloud.identity.grant(account.id)[0] if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.get(
            f"https://{emulator.rest.address}/{path}", params=query, headers=headers,
            verify=emulator.env["YC_ROOT_CERTIFICATES"], timeout=10,
        )  # fmt: skip
        assert answer.headers["Content-Type"] == "application/json"
        return answer.status_code, answer.json()

    return ask


@pytest.fixture
def may_read(emulator, client, account):
    emulator.cloud.identity.bind(client.folder, "managed-postgresql.auditor", "serviceAccount", account.id)


@pytest.mark.usefixtures("may_read")
def test_it_lists_what_grpc_lists(client, get, cluster):
    over_grpc = client.api("mdb.postgresql.v1.Cluster").ListBackups(cluster_id=cluster.id)
    status, over_rest = get(BACKUPS.format(cluster.id))
    assert status == 200 and len(over_rest["backups"]) == 3
    assert over_rest == json_format.MessageToDict(over_grpc)


@pytest.mark.usefixtures("may_read")
def test_pages_lead_to_all(get, cluster):
    path, found, token = BACKUPS.format(cluster.id), [], ""
    for _ in range(3):
        _, answer = get(path, pageSize=1, pageToken=token)
        found += answer["backups"]
        token = answer.get("nextPageToken", "")
    assert not token and found == get(path)[1]["backups"]


def test_who_asks_and_what_they_may_do_are_checked(emulator, client, get, cluster, account):
    path = BACKUPS.format(cluster.id)
    for token in ("", "t1.invented"):
        status, answer = get(path, token)
        assert (status, answer["code"]) == (401, grpc.StatusCode.UNAUTHENTICATED.value[0])
    status, answer = get(path)
    assert (status, answer["code"]) == (403, grpc.StatusCode.PERMISSION_DENIED.value[0])
    assert "managed-postgresql.viewer" in answer["message"]
    for role, expected in (("compute.admin", 403), ("managed-postgresql.auditor", 200)):
        emulator.cloud.identity.bind(client.folder, role, "serviceAccount", account.id)
        assert get(path)[0] == expected, role


@pytest.mark.usefixtures("may_read")
def test_what_is_not_there_and_what_makes_no_sense_is_refused(get, cluster):
    status, answer = get(BACKUPS.format("c9qnothing"))
    assert (status, answer["code"]) == (404, 5) and "c9qnothing" in answer["message"]
    assert get("managed-postgresql/v1/nothing") == (404, {"code": 5, "message": "Not Found"})
    path = BACKUPS.format(cluster.id)
    status, answer = get(path, pageSizes=1)
    assert (status, answer["code"]) == (400, 3) and "pageSizes" in answer["message"]
    assert get(path, pageSize="many")[0] == 400


@pytest.mark.usefixtures("may_read")
def test_calls_are_in_the_journal(emulator, get, cluster, account):
    get(BACKUPS.format(cluster.id))
    (entry,) = [e for e in emulator.journal.entries() if e["principal"] == account.id]
    assert (entry["method"], entry["code"]) == ("mdb.postgresql.v1.ClusterService.ListBackups", "OK")


def test_every_path_leads_to_one_method(emulator):
    found = rest.routes(list(emulator.cloud.services))
    assert len(found) > 100
    for pattern, method in found:
        template = method.GetOptions().Extensions[rest.annotations_pb2.http].get
        path = template.replace("{", "a-").replace("}", "-z")
        assert next(m.full_name for p, m in found if p.fullmatch(path)) == method.full_name, pattern.pattern


def test_the_certificate_is_for_the_clouds_own_names(emulator):
    trusted = ssl.create_default_context(cafile=emulator.env["YC_ROOT_CERTIFICATES"])
    host, _, port = emulator.rest.address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as plain:
        assert trusted.wrap_socket(plain, server_hostname="mdb.api.cloud.yandex.net").version() == "TLSv1.3"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://{emulator.rest.address}/", timeout=10)
