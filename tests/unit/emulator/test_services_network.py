"""VPC, Compute and DNS: what one resource means to another."""

from __future__ import annotations

import grpc
import pytest
from cloud_client import GIB, refused

Code = grpc.StatusCode
SSH = {
    "direction": "INGRESS",
    "protocol_name": "tcp",
    "ports": {"from_port": 22, "to_port": 22},
    "cidr_blocks": {"v4_cidr_blocks": ["0.0.0.0/0"]},
}


@pytest.fixture
def network(client):
    return client.network()


@pytest.fixture
def subnet(client, network):
    return client.subnet(network, name="a")


@pytest.fixture
def group(client, network):
    groups = client.api("vpc.v1.SecurityGroup")
    return groups.Create(folder_id=client.folder, name="web", network_id=network.id, rule_specs=[SSH])


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("10.1.0.128/25", "overlap"),
        ("10.0.0.0/8", "between /16 and /28"),
        ("8.8.8.0/24", "private ranges"),
        ("10.2.0.1/24", "host bits"),
        ("ten", "v4_cidr_blocks"),
    ],
)
def test_ranges_of_subnets(client, network, subnet, block, words):
    code = Code.FAILED_PRECONDITION if words == "overlap" else Code.INVALID_ARGUMENT
    refused(code, lambda: client.subnet(network, block), words)


def test_networks_do_not_share_ranges_or_tables(client, network, subnet):
    other = client.network("other")
    assert client.subnet(other, "10.1.0.0/24").network_id == other.id
    table = client.api("vpc.v1.RouteTable").Create(folder_id=client.folder, network_id=other.id)
    refused(
        Code.INVALID_ARGUMENT, lambda: client.subnet(network, "10.9.0.0/24", route_table_id=table.id), "another network"
    )


def test_what_is_in_use_is_not_deleted(client, network, subnet, group):
    gateway = client.api("vpc.v1.Gateway").Create(folder_id=client.folder, name="out", shared_egress_gateway_spec={})
    tables, subnets = client.api("vpc.v1.RouteTable"), client.api("vpc.v1.Subnet")
    route = {"destination_prefix": "0.0.0.0/0", "gateway_id": gateway.id}
    table = tables.Create(folder_id=client.folder, name="t", network_id=network.id, static_routes=[route])
    subnets.Update(subnet_id=subnet.id, route_table_id=table.id, mask="route_table_id")
    spec = {"subnet_id": subnet.id, "security_group_ids": [group.id]}
    instance = client.instance(subnet, "vm", network_interface_specs=[spec])
    deletions = {
        gateway.id: lambda: client.api("vpc.v1.Gateway").Delete(gateway_id=gateway.id),
        table.id: lambda: tables.Delete(route_table_id=table.id),
        subnet.id: lambda: subnets.Delete(subnet_id=subnet.id),
        group.id: lambda: client.api("vpc.v1.SecurityGroup").Delete(security_group_id=group.id),
        network.id: lambda: client.api("vpc.v1.Network").Delete(network_id=network.id),
    }
    for ident, delete in deletions.items():
        refused(Code.FAILED_PRECONDITION, delete, ident, "in use")
    client.api("compute.v1.Instance").Delete(instance_id=instance.id)
    for ident in (subnet.id, table.id, gateway.id, group.id, network.id):
        deletions[ident]()


def test_a_network_comes_and_goes_with_its_default_group(client, network):
    groups = client.api("vpc.v1.SecurityGroup")
    (default,) = groups.List(folder_id=client.folder).security_groups
    assert default.id == network.default_security_group_id and default.default_for_network
    refused(Code.FAILED_PRECONDITION, lambda: groups.Delete(security_group_id=default.id), "default group")
    client.api("vpc.v1.Network").Delete(network_id=network.id)
    assert not groups.List(folder_id=client.folder).security_groups


def test_rules_of_security_groups(client, network, group):
    groups = client.api("vpc.v1.SecurityGroup")
    (first,) = group.rules
    assert (first.protocol_name, first.protocol_number) == ("TCP", 6) and first.id
    inside = {"direction": "EGRESS", "security_group_id": group.id}
    changed = groups.UpdateRules(security_group_id=group.id, deletion_rule_ids=[first.id], addition_rule_specs=[inside])
    (second,) = changed.rules
    assert second.security_group_id == group.id and (second.protocol_name, second.protocol_number) == ("ANY", -1)
    rule = groups.UpdateRule(security_group_id=group.id, rule_id=second.id, description="x", mask="description")
    assert rule.id == second.id and groups.Get(security_group_id=group.id).rules[0].description == "x"
    replaced = groups.Update(security_group_id=group.id, rule_specs=[SSH, inside], mask="rule_specs")
    assert len(replaced.rules) == 2 and second.id not in {r.id for r in replaced.rules}
    for wrong in (
        {"direction": "INGRESS"},
        {**SSH, "direction": 0},
        {**SSH, "protocol_name": "carrier-pigeon"},
        {**SSH, "ports": {"from_port": 5, "to_port": 4}},
        {**SSH, "cidr_blocks": {"v4_cidr_blocks": ["all"]}},
        {"direction": "INGRESS", "predefined_target": "everybody"},
    ):
        wanted = {"security_group_id": group.id, "addition_rule_specs": [wrong]}
        refused(Code.INVALID_ARGUMENT, lambda wanted=wanted: groups.UpdateRules(**wanted), "rule_specs")
    assert len(groups.Get(security_group_id=group.id).rules) == 2


def test_addresses(client, subnet):
    """Private ones from .3 on and each once; public ones reserved or for a while."""
    api = client.api("vpc.v1.Address")
    entry = api.Create(folder_id=client.folder, external_ipv4_address_spec={"zone_id": subnet.zone_id})
    reserved = entry.external_ipv4_address.address
    assert not entry.used and api.GetByValue(external_ipv4_address=reserved).id == entry.id
    edge = client.instance(subnet, "edge", nat={"ip_version": "IPV4", "address": reserved})
    other = client.instance(subnet, "other", nat={"ip_version": "IPV4"})
    addresses = [i.network_interfaces[0].primary_v4_address for i in (edge, other)]
    assert [a.address for a in addresses] == ["10.1.0.3", "10.1.0.4"]
    assert addresses[0].one_to_one_nat.address == reserved != addresses[1].one_to_one_nat.address
    assert api.Get(address_id=entry.id).used
    refused(Code.FAILED_PRECONDITION, lambda: api.Delete(address_id=entry.id), edge.id)
    taken = {"ip_version": "IPV4", "address": reserved}
    refused(Code.FAILED_PRECONDITION, lambda: client.instance(subnet, "third", nat=taken), "in use")
    unknown = {"ip_version": "IPV4", "address": "198.51.100.99"}
    refused(Code.INVALID_ARGUMENT, lambda: client.instance(subnet, "third", nat=unknown), "not reserved")
    wrong = {
        "10.1.0.3": Code.FAILED_PRECONDITION,  # taken
        "10.1.0.2": Code.INVALID_ARGUMENT,  # the name server's
        "10.9.0.9": Code.INVALID_ARGUMENT,  # elsewhere
    }
    for address, code in wrong.items():
        spec = {"subnet_id": subnet.id, "primary_v4_address_spec": {"address": address}}
        refused(code, lambda spec=spec: client.instance(subnet, "third", network_interface_specs=[spec]), address)
    used = client.api("vpc.v1.Subnet").ListUsedAddresses(subnet_id=subnet.id).addresses
    assert [(a.address, a.references[0].referrer.id) for a in used] == [("10.1.0.3", edge.id), ("10.1.0.4", other.id)]


def test_public_addresses_come_and_go(client, subnet, world):
    instances = client.api("compute.v1.Instance")
    instance = client.instance(subnet, "vm")
    where = {"instance_id": instance.id, "network_interface_index": "0"}
    world.calls.clear()
    given = instances.AddOneToOneNat(**where, one_to_one_nat_spec={"ip_version": "IPV4"})
    assert given.network_interfaces[0].primary_v4_address.one_to_one_nat.address.startswith("198.51.100.")
    taken = instances.UpdateNetworkInterface(**where, mask="primary_v4_address_spec.one_to_one_nat_spec")
    assert not taken.network_interfaces[0].primary_v4_address.HasField("one_to_one_nat")
    assert world.calls == ["sync_network", "sync_network"]


def test_the_life_of_an_instance(client, subnet, world):
    instances, disks = client.api("compute.v1.Instance"), client.api("compute.v1.Disk")
    instance = client.instance(subnet, "vm", hostname="vm", metadata={"user-data": "secret"}, labels={"a": "b"})
    assert instance.fqdn == "vm.ru-central1.internal" and instance.status == instance.RUNNING
    (disk,) = disks.List(folder_id=client.folder).disks
    assert disk.id == instance.boot_disk.disk_id and disk.instance_ids == [instance.id] and disk.source_image_id
    assert not instances.Get(instance_id=instance.id).metadata
    assert instances.Get(instance_id=instance.id, view="FULL").metadata["user-data"] == "secret"
    assert instances.GetSerialPortOutput(instance_id=instance.id).contents == "console of vm"
    instances.UpdateMetadata(instance_id=instance.id, delete=["user-data"], upsert={"k": "v"})
    assert dict(instances.Get(instance_id=instance.id, view="FULL").metadata) == {"k": "v"}
    bigger = {"instance_id": instance.id, "resources_spec": {"cores": 4}, "mask": "resources_spec.cores"}
    refused(Code.FAILED_PRECONDITION, lambda: instances.Update(**bigger), "stopped")
    instances.Stop(instance_id=instance.id)
    assert instances.Get(instance_id=instance.id).status == instance.STOPPED
    refused(Code.FAILED_PRECONDITION, lambda: instances.Stop(instance_id=instance.id), "STOPPED")
    changed = instances.Update(**bigger)
    assert (changed.resources.cores, changed.resources.memory, changed.status) == (4, 2 * GIB, instance.STOPPED)
    assert instances.Start(instance_id=instance.id).status == instance.RUNNING
    instances.Delete(instance_id=instance.id)
    assert not disks.List(folder_id=client.folder).disks
    assert [c for c in world.calls if "instance" in c] == [
        *("start_instance vm", "stop_instance vm", "start_instance vm", "delete_instance vm")
    ]


def test_disks_outlive_instances_where_it_is_said(client, subnet):
    instances, disks = client.api("compute.v1.Instance"), client.api("compute.v1.Disk")
    kept = client.instance_values(subnet, "vm")
    kept["boot_disk_spec"]["auto_delete"] = False
    instance = instances.Create(**kept)
    refused(Code.FAILED_PRECONDITION, lambda: disks.Delete(disk_id=instance.boot_disk.disk_id), instance.id)
    instances.Delete(instance_id=instance.id)
    (disk,) = disks.List(folder_id=client.folder).disks
    assert not disk.instance_ids
    disks.Delete(disk_id=disk.id)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"platform_id": "standard-v9"}, "standard-v9"),
        ({"resources_spec": {"cores": 2}}, "memory"),
        ({"resources_spec": {"cores": 2, "memory": GIB, "gpus": 1}}, "GPUs"),
        ({"boot_disk_spec": {"disk_spec": {"size": 1}}}, "size"),
        ({"boot_disk_spec": {"auto_delete": True}}, "disk_id"),
        ({"zone_id": "ru-central1-b"}, "ru-central1-b"),
        ({"network_interface_specs": []}, "network_interface_specs"),
    ],
)
def test_instances_that_cannot_be(client, emulator, subnet, values, words):
    if words == "size":
        values["boot_disk_spec"]["disk_spec"]["image_id"] = emulator.cloud.all("compute.v1.Image")[0].id
    refused(Code.INVALID_ARGUMENT, lambda: client.instance(subnet, "vm", **values), words)
    assert not emulator.cloud.all("compute.v1.Instance") and not emulator.cloud.all("compute.v1.Disk")


def test_gpu_and_preemptible_machines(client, subnet):
    gpu = {"cores": 4, "memory": 16 * GIB, "gpus": 1}
    instance = client.instance(
        subnet, "gpu", platform_id="standard-v3-t4", resources_spec=gpu, scheduling_policy={"preemptible": True}
    )
    assert instance.resources.gpus == 1 and instance.scheduling_policy.preemptible


def test_zones_and_records(client, network, world):
    zones = client.api("dns.v1.DnsZone")
    visible = {"network_ids": [network.id]}
    zone = zones.Create(folder_id=client.folder, name="z", zone="p.internal.", private_visibility=visible)
    same = {"folder_id": client.folder, "name": "z2", "zone": "p.internal.", "private_visibility": visible}
    refused(Code.FAILED_PRECONDITION, lambda: zones.Create(**same), "p.internal.")
    world.calls.clear()
    api = {"name": "api", "type": "A", "ttl": 60, "data": ["10.1.0.3"]}
    difference = zones.UpsertRecordSets(dns_zone_id=zone.id, replacements=[api])
    assert [r.name for r in difference.additions] == ["api.p.internal."] and world.calls == ["sync_network"]
    again = zones.UpsertRecordSets(dns_zone_id=zone.id, replacements=[api])
    assert not again.additions and not again.deletions
    merged = {**api, "data": ["10.1.0.4"]}
    zones.UpsertRecordSets(dns_zone_id=zone.id, merges=[merged])
    found = zones.GetRecordSet(dns_zone_id=zone.id, name="api.p.internal.", type="A")
    assert list(found.data) == ["10.1.0.3", "10.1.0.4"]
    kinds = [r.type for r in zones.ListRecordSets(dns_zone_id=zone.id).record_sets]
    assert kinds == ["A", "NS", "SOA"]
    refused(Code.NOT_FOUND, lambda: zones.UpdateRecordSets(dns_zone_id=zone.id, deletions=[api]), "api")
    zones.UpdateRecordSets(dns_zone_id=zone.id, deletions=[{**api, "data": ["10.1.0.4", "10.1.0.3"]}])
    refused(Code.NOT_FOUND, lambda: zones.GetRecordSet(dns_zone_id=zone.id, name="api", type="A"))
    for wrong in ({**api, "data": ["ten"]}, {**api, "type": "AA"}, {**api, "name": "api.elsewhere."}):
        call = {"dns_zone_id": zone.id, "replacements": [wrong]}
        refused(Code.INVALID_ARGUMENT, lambda call=call: zones.UpsertRecordSets(**call))
    zones.Delete(dns_zone_id=zone.id)


def test_a_record_change_that_fails_is_undone(emulator, client, network):
    zones = client.api("dns.v1.DnsZone")
    visible = {"network_ids": [network.id]}
    zone = zones.Create(folder_id=client.folder, name="z", zone="p.internal.", private_visibility=visible)
    emulator.faults.add("*UpsertRecordSets", effect="fail_operation", code="INTERNAL")
    api = {"name": "api", "type": "A", "ttl": 60, "data": ["10.1.0.3"]}
    refused(Code.INTERNAL, lambda: zones.UpsertRecordSets(dns_zone_id=zone.id, replacements=[api]))
    assert len(zones.ListRecordSets(dns_zone_id=zone.id).record_sets) == 2
