"""What resources cost, against sums made by hand; what is not known is named and never counted as nothing."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from stagecraft.cost.budget import Budget, budget, first_estimate
from stagecraft.cost.estimate import estimate, rounded
from stagecraft.cost.prices import Price, Prices, Rate
from stagecraft.stages import Refused

DAY = datetime.date(2026, 5, 1)


def price(name: str, amount: str, unit: str, **more: str) -> Price:
    numbers = {field: Decimal(more[field]) for field in ("per", "free", "vat") if field in more}
    return Price("yandex", name, Decimal(amount), unit, more.get("currency", "RUB"), date=DAY, source="a page",
                 **({"vat": Decimal(20)} | numbers))  # fmt: skip


LIST = (
    price("compute.ice-lake.vcpu-100", "1.24", "vCPU_hour"),
    price("compute.ice-lake.vcpu-100.preemptible", "0.34", "vCPU_hour"),
    price("compute.ice-lake.ram", "0.33", "GB_hour"),
    price("compute.ice-lake.ram.preemptible", "0.083", "GB_hour"),
    price("compute.standard-v3-t4.gpu", "64", "GPU_hour"),
    price("disk.network-ssd", "0.0199", "GB_hour"),
    price("vpc.address", "0.264", "address_hour"),
    price("vpc.nat_gateway", "0.395", "gateway_hour"),
    price("vpc.egress", "1.42", "GB", free="100"),
    price("postgresql.s3.vcpu", "2.08", "vCPU_hour"),
    price("postgresql.s3.ram", "0.565", "GB_hour"),
    price("postgresql.network-ssd", "13.01", "GB_hour", per="720"),
    price("serverless.vcpu", "5.69", "vCPU_hour", free="5"),
    price("serverless.ram", "3.79", "GB_hour", free="10"),
    price("serverless.calls", "18.97", "request", per="1000000", free="1000000"),
    price("serverless.ready.vcpu", "1.03", "vCPU_hour"),
    price("serverless.ready.ram", "0.69", "GB_hour"),
    price("api_gateway.requests", "75", "request", per="1000000"),
    price("disk.snapshot", "0.0051", "GB_hour"),
    price("lockbox.versions", "0.0274", "version_hour"),
    price("lockbox.reads", "3.79", "request", per="10000"),
    price("storage.reads", "0.39", "request", per="10000", free="100000"),
    price("storage.stored", "0.0033", "GB_hour"),
    price("storage.writes", "0.01", "request", currency="USD", vat="0"),
)
PRICES = Prices(
    {(one.provider, one.name): one for one in LIST}, {"RUB": Rate("RUB", Decimal(100), DAY, "a bank")}
)  # a dollar is 100 roubles, so that sums can be made by hand
MACHINE = {"cores": 2, "memory": "4GB", "disk_size": "10GB", "network_interfaces": [{"subnet": "a"}]}


def cost(resources, usage=None) -> Decimal:
    return estimate("lab", resources, usage or {}, PRICES).total


@pytest.mark.parametrize(("kind", "declared", "use", "roubles"), [
    # 2 * 1.24 * 730 + 4 * 0.33 * 730 + 10 * 0.0199 * 730
    ("compute_instance", MACHINE, {}, "2919.27"),
    ("compute_instance", MACHINE | {"memory": "4096MB"}, {}, "2919.27"),
    # half of the month: only the disk is there all of it
    ("compute_instance", MACHINE, {"hours": 365}, "1532.27"),
    # 2 * 0.34 * 730 + 4 * 0.083 * 730 + the disk
    ("compute_instance", MACHINE | {"preemptible": True}, {}, "884.03"),
    ("compute_instance", MACHINE | {"preemptible": False}, {}, "2919.27"),
    # and 64 * 730
    ("compute_instance", MACHINE | {"platform": "standard-v3-t4", "gpus": 1}, {}, "49639.27"),
    ("compute_instance", MACHINE | {"preemptible": "yes"}, {}, "884.03"),
    ("compute_instance", MACHINE | {"preemptible": "off"}, {}, "2919.27"),
    # the disk alone, and half of the month where somebody says so
    ("compute_instance", MACHINE | {"power": "stopped", "network_interfaces": [{"nat": True}]}, {}, "145.27"),
    ("compute_instance", MACHINE | {"power": "stopped"}, {"hours": 365}, "1532.27"),
    ("compute_instance", MACHINE | {"state": "absent"}, {}, "0.00"),
    # and 0.264 * 730 for an address that is not reserved, and (101 - 100) * 1.42
    ("compute_instance", MACHINE | {"network_interfaces": [{"nat": True}]}, {"egress": "101GB"}, "3113.41"),
    ("compute_instance", MACHINE | {"network_interfaces": [{"nat": "false"}]}, {}, "2919.27"),
    ("compute_instance", MACHINE | {"network_interfaces": [{"nat": True, "public_address": "edge"}]}, {}, "2919.27"),
    ("vpc_address", {}, {"egress": 0}, "192.72"),
    # 0.395 * 730 + (150 - 100) * 1.42
    ("vpc_gateway", {}, {"egress": "150GB"}, "359.35"),
    # two hosts: (2 * 2.08 + 8 * 0.565) * 730 * 2 + 20 * 13.01 / 720 * 730 * 2
    ("postgresql_cluster", {"preset": "s3-c2-m8", "disk_size": "20GB", "hosts": [{}, {}]}, {}, "13200.43"),
    # 3,600,000 requests of 20 ms, counted as 100, are 100 hours: 95 * 5.69 + 40 * 3.79 + 2.6 * 18.97
    ("serverless_container", {"memory": "512MB"}, {"requests": 3600000, "seconds": 0.02}, "741.47"),
    ("serverless_container", {"memory": "512MB"}, {"requests": 3600000, "seconds": "0.1"}, "741.47"),
    # one more step: 195 * 5.69 + 90 * 3.79 + 2.6 * 18.97, and 20 GB out that are not free
    ("serverless_container", {"memory": "512MB"}, {"requests": 3600000, "seconds": 0.11, "egress": "120GB"}, "1528.37"),
    # kept ready all month, half a core of it: 0.5 * 730 * 1.03 + 0.5 * 730 * 0.69
    ("serverless_container", {"memory": "512MB", "core_fraction": 50, "min_instances": 1}, {"requests": 0, "seconds": 0},
     "627.80"),
    # 100 GB * 730 * 0.0033, 15 * 10000 reads at 0.39, and 20 GB out that are not free
    ("storage_bucket", {}, {"stored": "100GB", "writes": 0, "reads": 250000, "egress": "120GB"}, "275.15"),
    ("api_gateway", {}, {"requests": 0, "egress": "120GB"}, "28.40"),
    # 10 GB * 730 * 0.0051
    ("compute_snapshot_schedule", {}, {"stored": "10GB"}, "37.23"),
    # 730 * 0.0274, and 20000 reads at 3.79
    ("lockbox_secret", {}, {"reads": 20000}, "27.58"),
    # 100 GB * 730 * 0.0033, as the issue has it
    ("storage_bucket", {}, {"stored": "100GB", "writes": 0}, "240.90"),
    ("iam_service_account", {}, {}, "0.00"),
])  # fmt: skip
def test_a_resource_costs_what_a_sum_by_hand_says(kind, declared, use, roubles):
    total = cost({kind: {"one": declared}}, {kind: {"one": use}} if use else {})
    assert rounded(total * 100) == Decimal(roubles)


def test_nothing_is_rounded_before_the_end():
    # 0.1 rouble an hour of a third of a gigabyte would be lost in cents: 1000 disks of 1 MB
    disks = {f"d{n}": {"size": "1MB"} for n in range(1000)}
    assert cost({"compute_disk": disks}) == Decimal("0.0199") * 730 / 1024 * 1000 / 100


def test_a_kind_that_is_null_is_none_of_it_and_what_is_absent_may_have_a_use():
    assert cost({"compute_disk": None, "vpc_network": None}) == 0
    gone = {"vpc_gateway": [{"name": "g", "state": "absent"}]}
    assert cost(gone, {"vpc_gateway": {"g": {"egress": "1GB"}}}) == 0


def test_what_is_free_is_free_once():
    both = {"vpc_gateway": {"a": {}}, "vpc_address": {"b": {}}}
    use = {"vpc_gateway": {"a": {"egress": "80GB"}}, "vpc_address": {"b": {"egress": "80GB"}}}
    # 0.395 * 730 + 0.264 * 730 + (160 - 100) * 1.42
    assert rounded(cost(both, use) * 100) == Decimal("566.27")


def test_the_tax_in_it_and_currencies_are_told_apart():
    found = estimate("lab", {"storage_bucket": [{"name": "b"}]},
                     {"storage_bucket": [{"name": "b", "stored": "100GB", "writes": 200}]}, PRICES)  # fmt: skip
    assert found.total == Decimal("4.409")  # 240.90 roubles, and 200 cents
    assert found.vat == Decimal("0.4015")  # a sixth of the roubles


@pytest.mark.parametrize(("resources", "usage", "says"), [
    ({"compute_instence": {}}, {}, "nothing says what a compute_instence costs (the nearest is compute_instance)"),
    ({"compute_instance": {"m": MACHINE | {"platform": "standard-v4"}}}, {},
     "lab: compute_instance m, processors: inventories/shared/prices/yandex.yml has no price compute.standard-v4.vcpu-100"),
    ({"compute_instance": {"m": MACHINE | {"core_fraction": 7}}}, {}, "has no price compute.ice-lake.vcpu-7"),
    ({"compute_instance": {"m": MACHINE | {"disk_type": "network-hdd"}}}, {}, "has no price disk.network-hdd"),
    ({"compute_instance": {"m": {"cores": 2}}}, {}, "memory is not declared"),
    ({"compute_instance": {"m": MACHINE | {"memory": "lots"}}}, {}, "memory is 'lots'; write a size such as 20GB"),
    ({"compute_instance": {"m": MACHINE | {"cores": -2}}}, {}, "cores is -2; it has to be a number that is not negative"),
    ({"compute_instance": {"m": MACHINE}}, {"compute_instance": {"m": {"hours": 731}}}, "a month has 730"),
    ({"postgresql_cluster": {"p": {"preset": "db1.micro"}}}, {}, "preset is 'db1.micro'"),
    ({"postgresql_cluster": {"p": {"preset": "b2-c2-m4", "hosts": [{}]}}}, {}, "has no price postgresql.b2.vcpu"),
    ({"vpc_gateway": {"g": {}}}, {}, "its price depends on egress, and the inventory does not say how much is used"),
    ({"vpc_gateway": {"g": {}}}, {"vpc_gateway": {"g": {"egres": 1}}}, "nothing is billed by egres. Did you mean egress?"),
    ({"vpc_gateway": {"g": {}}}, {"vpc_gateway": {"g": {"egress": 1}, "h": {}}}, "usage names vpc_gateway h"),
    ({}, {"vpc_gateway": {"g": {}}}, "usage names vpc_gateway g, and the stage declares none of that name"),
    ({"storage_bucket": [{"name": "b", "max_size": "5GB"}]}, {"storage_bucket": [{"name": "b", "stored": "6GB"}]},
     "usage assumes 6GB in it, and its max_size is 5GB"),
    ({"storage_bucket": [{"name": "b"}, {"name": "b"}]}, {}, "storage_bucket b is there twice"),
    ({"storage_bucket": "b"}, {}, "storage_bucket has to be a dictionary by name"),
    ({"compute_instance": {"m": MACHINE | {"preemptible": "maybe"}}}, {}, "'maybe'; it has to be true or false"),
    ({"compute_instance": {"m": MACHINE | {"network_interfaces": "eth0"}}}, {}, "'eth0'; it has to be a list of"),
    ({"compute_instance": {"m": MACHINE | {"network_interfaces": [{"nat": True}]}}}, {}, "its price depends on egress"),
    ({"postgresql_cluster": {"p": {"preset": "s3-c2-m8", "hosts": "x"}}}, {}, "hosts is 'x'; it has to be a list"),
    ({"lockbox_secret": {"s": {}}}, {}, "its price depends on reads"),
    ({"compute_snapshot_schedule": {"s": {}}}, {}, "its price depends on stored"),
    ({"storage_bucket": [{"name": "b", "storage_class": "ice"}]},
     {"storage_bucket": [{"name": "b", "stored": 1, "writes": 0}]}, "has no price storage.stored.ice"),
])  # fmt: skip
def test_what_is_unknown_is_named_and_never_nothing(resources, usage, says):
    with pytest.raises(Refused) as refused:
        cost(resources, usage)
    assert says in str(refused.value) and refused.value.code == 2, refused.value


def test_a_price_in_another_unit_is_refused():
    prices = Prices(
        PRICES.prices | {("yandex", "disk.network-ssd"): price("disk.network-ssd", "14", "GB_month")}, PRICES.rates
    )
    with pytest.raises(
        Refused, match="disk.network-ssd is for a GB_month, and lab: compute_disk d is billed by the GB_hour"
    ):
        estimate("lab", {"compute_disk": {"d": {"size": "1GB"}}}, {}, prices)


def test_a_budget_is_kept_to_the_cent():
    allowed = budget("lab", {"monthly": "12.50", "currency": "USD"}, PRICES)
    assert allowed == Budget(Decimal("12.50"))
    assert not allowed.exceeded(Decimal("12.504")) and allowed.exceeded(Decimal("12.505"))
    assert budget("lab", None, PRICES) is None


@pytest.mark.parametrize(("declared", "says"), [
    ({"monthly": 1000, "currency": "RUB"}, "as the total is. 1000 RUB are 10.00 USD by the rate of 2026-05-01"),
    ({"monthly": 10, "currency": "EUR"}, "budget.currency is EUR"),
    ({"monthly": -1}, "budget.monthly is -1"),
    ({"monthly": "much"}, "budget.monthly is 'much'"),
    ({"month": 1}, "budget has to be a mapping with currency and monthly"),
    (100, "budget has to be a mapping"),
])  # fmt: skip
def test_a_budget_that_cannot_be_compared_is_refused(declared, says):
    with pytest.raises(Refused) as refused:
        budget("lab", declared, PRICES)
    assert says in str(refused.value)


def test_a_first_estimate_has_its_reason():
    with pytest.raises(Refused, match="first_estimate has to be a mapping with monthly and why"):
        first_estimate("lab", {"monthly": 2.5})
