"""What every resource has: names, lists, filters, pages, masks, validation, references, idempotency keys."""

from __future__ import annotations

import threading
import uuid

import grpc
import pytest
from cloud_client import Failed, refused

from rehearsal.cloud import listing
from rehearsal.cloud.errors import ApiError
from rehearsal.cloud.validation import within

Code = grpc.StatusCode


def test_names_are_unique_in_a_folder(client):
    networks = client.api("vpc.v1.Network")
    first = client.network()
    refused(Code.ALREADY_EXISTS, client.network, "main")
    other = client.network("other")
    refused(Code.ALREADY_EXISTS, lambda: networks.Update(network_id=other.id, name="main", mask="name"), "main")
    assert networks.Get(network_id=other.id).name == "other"
    networks.Delete(network_id=first.id)
    assert client.network().id != first.id


def test_lists_have_filters_and_pages(client):
    networks = client.api("vpc.v1.Network")
    for number in range(5):
        client.network(f"net-{number}")
    assert [n.name for n in networks.List(folder_id=client.folder, filter="name='net-3'").networks] == ["net-3"]
    some = networks.List(folder_id=client.folder, filter='name IN ("net-1", "net-2") AND name != "net-2"')
    assert [n.name for n in some.networks] == ["net-1"]
    names, token = [], ""
    for _ in range(3):
        page = networks.List(folder_id=client.folder, page_size=2, page_token=token)
        names, token = [*names, *(n.name for n in page.networks)], page.next_page_token
    assert names == [f"net-{n}" for n in range(5)] and token == ""
    refused(Code.INVALID_ARGUMENT, lambda: networks.List(folder_id=client.folder, page_token="1"), "page_token")
    refused(Code.INVALID_ARGUMENT, lambda: networks.List(folder_id=client.folder, filter="colour='red'"), "colour")


@pytest.mark.parametrize(
    "text", ["name", "name=", '="a"', 'name="a" OR name="b"', 'name IN "a"', "name IN ()", 'name="a']
)
def test_filters_that_cannot_be_read(text):
    with pytest.raises(ApiError, match="filter"):
        listing.parse(text)


def test_masks_say_what_changes(client):
    subnets = client.api("vpc.v1.Subnet")
    subnet = client.subnet(client.network(), name="a", description="old", labels={"k": "v"})
    changed = subnets.Update(
        subnet_id=subnet.id,
        name="ignored",
        description="new",
        dhcp_options={"domain_name": "x.internal"},
        mask="description,dhcp_options.domain_name",
    )
    assert (changed.name, changed.description, dict(changed.labels)) == ("a", "new", {"k": "v"})
    assert changed.dhcp_options.domain_name == "x.internal"
    cleared = subnets.Update(subnet_id=subnet.id, mask="labels,dhcp_options")
    assert not cleared.labels and not cleared.HasField("dhcp_options")
    refused(Code.INVALID_ARGUMENT, lambda: subnets.Update(subnet_id=subnet.id, mask="colour"), "colour")
    refused(Code.INVALID_ARGUMENT, lambda: subnets.Update(subnet_id=subnet.id, mask="subnet_id"), "subnet_id")
    refused(Code.INVALID_ARGUMENT, lambda: subnets.Update(subnet_id=subnet.id, mask="name.first"), "name.first")


def test_without_a_mask_unsent_fields_are_reset(client):
    """As the API's reference says; it is why every update should send a mask."""
    networks = client.api("vpc.v1.Network")
    network = networks.Create(folder_id=client.folder, name="main", description="old", labels={"k": "v"})
    changed = networks.Update(network_id=network.id, name="main")
    assert (changed.name, changed.description, dict(changed.labels)) == ("main", "", {})


def test_requests_are_validated(client):
    zones, network = client.api("dns.v1.DnsZone"), client.network()
    values = {"folder_id": client.folder, "private_visibility": {"network_ids": [network.id]}}
    refused(Code.INVALID_ARGUMENT, lambda: zones.Create(**values), "zone: Field is required")
    refused(Code.INVALID_ARGUMENT, lambda: zones.Create(zone="Bad Zone", **values), "zone", "match")
    labels = {"Upper": "x"}
    refused(Code.INVALID_ARGUMENT, lambda: zones.Create(zone="a.", labels=labels, **values), "labels", "Upper")
    refused(Code.INVALID_ARGUMENT, lambda: client.network("Bad name"), "name")
    networks = client.api("vpc.v1.Network")  # whose protos carry no options
    for wrong in ({"labels": {"Upper": "x"}}, {"labels": {"a": "Upper"}}, {"description": "x" * 257}):
        field = next(iter(wrong))
        refused(Code.INVALID_ARGUMENT, lambda wrong=wrong: networks.Create(folder_id=client.folder, **wrong), field)
    assert not networks.List(folder_id=client.folder, filter='name!="main"').networks


@pytest.mark.parametrize(
    ("spec", "number", "inside"),
    [("<=50", 50, True), ("<=50", 51, False), ("1-63", 0, False), (">0", 1, True), ("20", 20, True), ("20", 19, False)],
)
def test_ranges_of_the_protos(spec, number, inside):
    assert within(spec, number) is inside


def test_what_is_named_must_exist(client):
    network = client.network()
    for values in ({"network_id": "enpnothing0000000000"}, {"route_table_id": "enpnothing0000000000"}):
        wanted = {"folder_id": client.folder, "network_id": network.id, "zone_id": "ru-central1-a"} | values
        call = client.api("vpc.v1.Subnet").Create
        refused(Code.NOT_FOUND, lambda: call(v4_cidr_blocks=["10.0.0.0/24"], **wanted), "enpnothing")  # noqa: B023
    error = refused(Code.INVALID_ARGUMENT, lambda: client.subnet(network, zone="ru-central1-z"))
    assert "ru-central1-z" in error.message and "ru-central1-d" in error.message
    networks = client.api("vpc.v1.Network")
    refused(Code.PERMISSION_DENIED, lambda: networks.List(folder_id="b1gnothing0000000000"), "b1gnothing")
    refused(Code.NOT_FOUND, lambda: networks.Get(network_id="enpnothing"), "enpnothing")


def test_an_idempotency_key_repeats_the_answer(emulator, client):
    networks, key = client.api("vpc.v1.Network"), str(uuid.uuid4())
    first = networks.start("Create", idempotency_key=key, folder_id=client.folder, name="main")
    again = networks.start("Create", idempotency_key=key, folder_id=client.folder, name="main")
    assert first.id == again.id and len(emulator.cloud.all("vpc.v1.Network")) == 1
    refused(
        Code.INVALID_ARGUMENT,
        lambda: networks.start("Create", idempotency_key=key, folder_id=client.folder, name="other"),
        "idempotency-key",
    )
    account = client.api("iam.v1.ServiceAccount").Create(folder_id=client.folder, name="robot")
    keys, key = client.api("iam.v1.awscompatibility.AccessKey"), str(uuid.uuid4())
    one = keys.start("Create", idempotency_key=key, service_account_id=account.id)
    assert one == keys.start("Create", idempotency_key=key, service_account_id=account.id) and one.secret


def test_unknown_calls_are_unimplemented(client):
    network = client.network()
    move = client.api("vpc.v1.Network")
    refused(Code.UNIMPLEMENTED, lambda: move.Move(network_id=network.id, destination_folder_id=client.folder))
    refused(Code.UNIMPLEMENTED, lambda: client.api("k8s.v1.Cluster").List(folder_id=client.folder), "k8s")


def test_many_callers_at_once(emulator, client):
    network, failures = client.network(), []

    def make(number: int) -> None:
        try:
            client.subnet(network, f"10.{number}.0.0/24", name=f"s-{number}")
        except (Failed, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(emulator.cloud.all("vpc.v1.Subnet")) == 24


def test_the_journal_tells_all_but_secrets(emulator, client):
    secret = client.api("lockbox.v1.Secret").Create(
        folder_id=client.folder,
        name="db",
        version_payload_entries=[{"key": "password", "text_value": "hunter2hunter2"}],
    )
    client.api("lockbox.v1.Payload").Get(secret_id=secret.id)
    client.api("vpc.v1.Network").start("Create", folder_id=client.folder, name="main")
    subnet = client.subnet(client.network("second"))
    cluster = client.cluster(emulator.cloud.get("vpc.v1.Network", subnet.network_id), subnet)
    users = client.api("mdb.postgresql.v1.User")
    users.Create(cluster_id=cluster.id, user_spec={"name": "app", "password": "swordfish-swordfish"})
    assert "hunter2" not in emulator.journal.path.read_text() and "swordfish" not in emulator.journal.path.read_text()
    entries = emulator.journal.entries()
    made = next(e for e in entries if e["method"] == "mdb.postgresql.v1.UserService.Create")
    assert (
        made["user_spec"] == "app" and made["cluster_id"] == cluster.id and made["code"] == "OK" and made["operation"]
    )
    assert made["principal"].startswith("aje") and made["ms"] >= 0


def test_default_disk_files_are_private(emulator):
    for name in ("cloud.sqlite", "cloud.sqlite-wal", "journal.jsonl", "key.json", "oauth.token", "ca.key", "env.json"):
        assert (emulator.folder / name).stat().st_mode & 0o077 == 0, name
